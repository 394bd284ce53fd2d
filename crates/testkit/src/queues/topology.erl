begin
  Name = fun({resource, _, _, N}) -> N end,
  Kind = fun(rabbit_classic_queue) -> <<"classic">>;
            (rabbit_quorum_queue) -> <<"quorum">>;
            (rabbit_stream_queue) -> <<"stream">>;
            (Other) -> Other
         end,
  Table = fun(T) -> maps:from_list([{K, V} || {K, _, V} <- T]) end,
  rabbit_json:encode(#{
    exchanges => [#{name => Name(N), kind => K, durable => D, auto_delete => A}
      || [{name, N}, {type, K}, {durable, D}, {auto_delete, A}]
        <- rabbit_exchange:info_all(VHOST, [name, type, durable, auto_delete])],
    queues => [#{name => Name(N), kind => Kind(K), durable => D, auto_delete => A,
                 exclusive => is_pid(O), arguments => Table(T)}
      || [{name, N}, {type, K}, {durable, D}, {auto_delete, A}, {owner_pid, O}, {arguments, T}]
        <- rabbit_amqqueue:info_all(VHOST, [name, type, durable, auto_delete, owner_pid, arguments])],
    bindings => [#{source => S, destination => D, key => K}
      || [{source_name, S}, {destination_name, D}, {routing_key, K}]
        <- rabbit_binding:info_all(VHOST, [source_name, destination_name, routing_key])]
  })
end
