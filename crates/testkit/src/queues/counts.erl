case rabbit_amqqueue:lookup(rabbit_misc:r(VHOST, queue, QUEUE)) of
  {ok, Queue} ->
    {Ready, Unacked, Consumers} = case amqqueue:get_type(Queue) of
      rabbit_quorum_queue ->
        % The figures that the broker keeps for a quorum queue are up to 5 s old; its state is not.
        Ask = fun(Query) ->
          {ok, {_, Value}, _} = ra:leader_query(amqqueue:get_pid(Queue), Query),
          Value
        end,
        {Ask(fun rabbit_fifo:query_messages_ready/1),
         Ask(fun rabbit_fifo:query_messages_checked_out/1),
         Ask(fun rabbit_fifo:query_consumer_count/1)};
      _ ->
        Items = [messages_ready, messages_unacknowledged, consumers],
        list_to_tuple([Value || {_, Value} <- rabbit_amqqueue:info(Queue, Items)])
    end,
    rabbit_json:encode(#{ready => Ready, unacknowledged => Unacked, consumers => Consumers});
  {error, not_found} ->
    "null"
end
