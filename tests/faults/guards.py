"""Which part of the product each fault guards: without that part, its row in docs/faults.md is not as promised."""

GUARDS = {
    # Retry in the state machine, which tries again what was killed, timed out or was given nothing to work with.
    "all ranks are killed while they import": "statemachine.definition.DEFINITION",
    "a rank is killed in inference": "statemachine.definition.DEFINITION",
    "a rank stands still until its timeout": "statemachine.definition.DEFINITION",
    "a rank never begins": "statemachine.definition.DEFINITION",
    "a rank runs out of memory": "statemachine.definition.DEFINITION",
    # A root that was lost says so in its claim, and who looks there does not wait for it.
    "rank 0 is killed in inference": "lambda_image.register.place_of",
    "rank 0 is killed in the gather": "lambda_image.handlers.absent_ranks.given_up",
    "rank 0 comes late": "lambda_image.handlers.gathering.ROOT_LATE_S",
    "three workers for four ranks": "lambda_image.handlers.absent_ranks.given_up",
    # What a rank that gathers had taken is lost with it, at both levels of a tree.
    "a leaf of a tree is killed in the gather": "lambda_image.register.Claim",
    "an inner rank of a tree is killed in the gather": "lambda_image.register.place_of",
    "an inner rank of a tree is killed in inference": "lambda_image.register.place_of",
    "rank 0 of a tree is killed in the gather": "lambda_image.handlers.gathering.given_up",
    # What a rank wrote before it was lost counts, and its successor takes it over.
    "a rank is killed in the gather, as sender": "lambda_image.register.Claim",
    "a rank is delivered twice": "lambda_image.register.RankRegister.claim",
    "a zombie of the same run wakes": "lambda_image.register.RankRegister.write",
    "a zombie of an earlier run wakes": "lambda_image.ownership.RunObjects.put",
    # The other ranks' objects are put together, and the lost one is named.
    "a rank is killed whenever it is tried": "lambda_image.handlers.summarize.reported_failures",
    "a rank runs out of address space": "lambda_image.handlers.summarize.reported_failures",
    "a rank speaks another version to its peers": "lambda_image.comm.channel.handshake.OtherVersion",
    "a rank speaks another version to the server": "rendezvous_server.protocol.messages.RejectCode.VERSION",
    # A server that is not there, or goes, costs the gather at most.
    "no rendezvous server": "lambda_image.comm.connecting.rendezvous.RendezvousConnection.connect",
    "the server says nothing": "lambda_image.comm.connecting.rendezvous.RendezvousConnection.join",
    "the server is killed while ranks infer": "lambda_image.comm.connecting.connector.REJOIN_BACKOFF",
    "the server is killed in the gather": "lambda_image.comm.connecting.peering.Peering.is_linked",
    "the server is killed between two joins": "lambda_image.handlers.absent_ranks.AbsentRanks",
    "the server has another key": "lambda_image.handlers.absent_ranks.AbsentRanks",
    # Who says little, much, or what is not true, keeps no rank from another.
    "2,000 idle connections": "rendezvous_server.limits.Limits",
    "one slow client": "rendezvous_server.deadlines.Deadlines",
    "200 slow clients": "rendezvous_server.deadlines.Deadlines",
    "garbage at full speed": "rendezvous_server.admission.ConnectionLimiter",
    "strangers join with wrong keys and world sizes": "rendezvous_server.protocol.messages.RejectCode.BAD_PROOF",
    "a stranger joins as a later attempt of each rank": "lambda_image.comm.connecting.group_name.group_name",
    "what ranks say to the server is said again": "rendezvous_server.protocol.messages.RejectCode.BAD_PROOF",
    "strangers dial the ranks with wrong proofs": "lambda_image.comm.channel.handshake.Handshake.feed",
    # A path that does not carry a part is not taken, or is left for another.
    "the network is far and lossy": "lambda_image.comm.connecting.introduction.HANDSHAKE_LIMIT_S",
    "a path is a black hole after 20 kB": "lambda_image.comm.channel.handshake.PROBE",
    "a bit of each probe is flipped": "lambda_image.comm.channel.handshake.PROBE",
    "two ranks are parted": "lambda_image.comm.connecting.relaying.relay",
    "a path is a black hole after 66 kB": "lambda_image.handlers.summarize.summarize",
    "two ranks are parted in the gather": "lambda_image.handlers.summarize.summarize",
    "a connection is reset in mid-frame": "lambda_image.comm.connecting.peering.Peering.is_linked",
    "a bit of a part is flipped": "lambda_image.comm.channel.cipher.Cipher",
    "a bit of the server's answer is flipped": "lambda_image.comm.connecting.connector.REJOIN_BACKOFF",
    "a bit of each answer of the server is flipped": "lambda_image.handlers.absent_ranks.AbsentRanks",
    # S3 is asked again, and what it cannot give is named.
    "every third request fails": "lambda_image.storage.bucket.ATTEMPTS",
    "partitions come slowly": "lambda_image.download_rate.MIN_RATE",
    "every answer is slow": "lambda_image.storage.bucket.READ_TIMEOUT_S",
    "bodies are cut off": "lambda_image.storage.reader.RESUMES",
    "answers are cut off": "lambda_image.storage.reader.RESUMES",
    "there is no such bucket": "lambda_image.storage.ObjectStore",
    "the bucket is removed": "lambda_image.storage.ObjectStore",
    "a partition is truncated": "lambda_image.data.partition.open_partition",
    "a partition vanishes after Init": "lambda_image.storage.ObjectStore.open",
    "a partition may not be read": "lambda_image.storage.bucket.DENIED",
    "a rank may not write": "lambda_image.storage.bucket.DENIED",
    # What starts runs.
    "starts are refused": "lambda_image.register.RankRegister.claim",
    "one execution name is used twice": "lambda_image.ownership.RunObjects",
    "one result path is used twice": "lambda_image.handlers.init.init",
    "the endpoint is killed": "scripts.local_cloud.ending",
    # Durations come from one clock.
    "Summarize's clock is 3 h behind": "lambda_image.handlers.summarize.wall_time_s",
    "Init's clock is 3 h ahead": "lambda_image.handlers.summarize.wall_time_s",
    "all ranks' clocks are 3 h behind": "lambda_image.request_times.RequestTimes",
    # Files are what was written.
    "bits of the engine's weights are flipped": "lambda_image.model.engine_digests.weights_digest",
    "the engine's weights are cut off": "lambda_image.model.engine_digests.weights_digest",
    "the engine's library is cut off": "lambda_image.model.engine_digests.library_digest",
    "bits of the weights are flipped": "lambda_image.model.checkpoint.digest",
    "the weights are cut off": "lambda_image.model.checkpoint.load",
    "the functions' disk is full": "lambda_image.stretches.StretchWriter",  # on S3, and not on the disk
    "the disk for the results is full": "scripts.runs.result_folder.ResultFolder.fill",
    # A name is asked for while the deadline lasts, and all its addresses are tried.
    "the server's name is unknown": "lambda_image.comm.connecting.rendezvous.RendezvousConnection.connect",
    "there is no name server": "lambda_image.comm.connecting.rendezvous.RendezvousConnection.connect",
    "the name server says nothing": "lambda_image.comm.connecting.rendezvous.RendezvousConnection.connect",
    "the server's name has several addresses": "lambda_image.comm.connecting.racing.first_connected",
    "the server's name has an IPv6 address only": "lambda_image.comm.connecting.racing.interleaved",
}
