# Runs one RabbitMQ node and ends it when nobody needs it any more.
#   $1  pipe:  until standard input is closed, that is, until the test process is gone or says so
#       lease: until nobody has held a lock on the file $2 for $3 seconds
#   $4  the node's folder, removed at the end unless the line "keep" came through the pipe
#   $5  rabbitmq-server
mode=$1 lease=$2 idle_limit=$3 folder=$4 server=$5

# The node gets a session of its own, so that one signal to that group ends all of it.
# An epmd of its own comes first: Erlang would otherwise start one that outlives the node.
setsid sh -c '
  epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 >/dev/null 2>&1 &
  tries=0
  until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1 || [ $tries -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
  done
  "$2"
  echo $? >"$1/exited"
' node "$folder" "$server" </dev/null >>"$folder/log/console" 2>&1 &
node=$!

word=
if [ "$mode" = pipe ]; then
  read -r word
else
  exec 9>>"$lease"
  idle=0
  while [ "$idle" -lt "$idle_limit" ]; do
    sleep 1
    if flock --nonblock --exclusive 9; then
      idle=$((idle + 1))
      [ "$idle" -ge "$idle_limit" ] || flock --unlock 9
    else
      idle=0
    fi
  done
  # The lock is held from here to the end: whoever waits for it finds the node gone.
  rm -f "$(dirname "$lease")/node.json"
fi

kill -KILL -$node
# The node may still be writing its last; the second try finds it gone.
[ "$word" = keep ] || rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
