begin
  {ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(VHOST, queue, QUEUE)),
  {Name, _} = amqqueue:get_pid(Queue),
  Committed = [{atom_to_binary(proplists:get_value(<<"Node Name">>, Row)), Index}
    || Row <- rabbit_quorum_queue:status(VHOST, QUEUE),
       Index <- [proplists:get_value(<<"Commit Index">>, Row)],
       is_integer(Index)],
  Leader = case ra:members({Name, node()}, 2000) of
    {ok, _, {_, Found}} -> atom_to_binary(Found);
    _ -> null
  end,
  rabbit_json:encode(#{leader => Leader, committed => maps:from_list(Committed)})
end
