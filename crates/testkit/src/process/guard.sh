# Ends process $1 when the test process that holds our standard input is gone.
# The test process kills this shell first when it has ended the child itself.
read -r _
kill -KILL "$1" 2>/dev/null
