"""The fault matrix: which test proves which row.

F1 killed before the commit
    tests/log/test_kill.py::test_a_killed_writer_loses_nothing_it_acknowledged
    tests/e2e/test_crossing.py::test_nothing_is_lost_while_every_process_is_killed
F2 killed before delivery
    tests/e2e/test_node.py::test_a_killed_node_delivers_its_backlog_in_order
    tests/flow/test_delivery_restart.py::test_killed_at_any_turn_nothing_is_lost
    tests/e2e/test_node.py::test_a_term_signal_under_load_drains_and_loses_nothing
F3 killed before settling
    tests/flow/test_delivery_restart.py::test_idempotency_keys_are_the_same_after_a_restart
F4 power loss: nothing is acknowledged before the disk was told to keep it
    tests/faults/test_power_loss.py::test_every_answer_comes_after_a_sync_of_its_commit
F5 a data file cut off
    tests/e2e/test_damage.py::test_a_data_file_that_was_cut_off_is_refused_with_a_reason
    tests/e2e/test_damage.py::test_what_was_cut_off_behind_the_last_commit_is_nothing
F6 bits flipped
    tests/log/test_damage.py::test_bits_flipped_anywhere_never_pass_for_events
    tests/e2e/test_damage.py::test_flipped_bits_are_named_and_the_rest_is_served
F7 disk full
    tests/e2e/test_full_disk.py::test_a_node_on_a_full_disk_refuses_delivers_and_recovers
    tests/log/test_full_disk.py::test_a_full_disk_refuses_appends_and_loses_nothing
F8 slow disk
    tests/faults/test_isolation.py::test_a_slow_disk_slows_down_and_repeats_nothing
F9 no descriptors left
    tests/faults/test_exhaustion.py::test_without_descriptors_new_connections_are_shed_and_the_others_live
F11 the clock jumps
    tests/faults/test_clock.py::test_stamps_never_go_back_over_jumps_and_restarts
    tests/faults/test_clock.py::test_the_duplicate_window_lasts_as_long_as_it_says
    tests/flow/test_destination.py::test_a_clock_that_jumps_changes_nothing
F12 a huge event
    tests/faults/test_exhaustion.py::test_a_huge_body_is_refused_and_memory_stays_flat
F13 sink down for a day
    tests/flow/test_delivery_faults.py::test_nothing_is_buried_for_the_destinations_sake
    tests/flow/test_delivery_faults.py::test_a_dead_sink_delays_no_other_subscription
F14 sink fails half the time
    tests/flow/test_delivery_faults.py::test_load_on_a_sink_that_fails_half_is_not_amplified
F15 429 with Retry-After
    tests/flow/test_delivery_faults.py::test_a_wish_for_a_pause_is_obeyed_exactly_by_everybody
    tests/connectors/test_http.py::test_the_destinations_own_pause_is_obeyed
F16 4xx
    tests/flow/test_delivery_events.py::test_rejected_is_never_repeated_and_is_buried_with_the_answer
F17 410
    tests/flow/test_delivery_faults.py::test_gone_disables_the_subscription_until_resumed
F18 sink hangs
    tests/flow/test_delivery_faults.py::test_a_hanging_send_is_cut_and_the_breaker_opens
F19 answers that drip, redirects
    tests/connectors/test_http.py::test_an_answer_that_drips_is_cut
    tests/connectors/test_http.py::test_redirects_are_not_followed
F20 poison
    tests/flow/test_delivery_events.py::test_a_poison_event_is_given_up_and_holds_only_its_key
    tests/flow/test_delivery_events.py::test_poison_may_block_its_key_and_no_other
F21 no dead letters can be written
    tests/flow/test_delivery_events.py::test_when_dead_letters_cannot_be_written_their_events_stay
F22 sent again, fails again
    tests/flow/test_dead_letters.py::test_sending_again_what_still_fails_ends
F23 a batch fails in part
    tests/flow/test_delivery_events.py::test_only_failed_events_of_a_batch_are_repeated
    tests/flow/test_delivery_events.py::test_order_of_a_key_when_its_batch_fails_in_part
F24 visibility expires
    tests/connectors/test_aws_sqs.py::test_a_slow_log_keeps_its_messages_hidden
    tests/flow/test_ingest.py::test_a_recent_duplicate_is_dropped_and_acknowledged
F44 a bad config, a bad connector
    tests/e2e/test_node.py::test_ten_mistakes_are_named_at_once_and_nothing_is_created
    tests/faults/test_isolation.py::test_a_connector_that_does_not_work_stops_nothing_else
F56 trimmed while it is read
    tests/log/test_trimming.py::test_drop_oldest_never_refuses_and_tells_who_lost_what
    tests/flow/test_delivery.py::test_a_gap_is_told
    tests/federation/test_changed_logs.py::test_what_was_trimmed_unread_is_reported_as_a_gap
"""
