"""The phases of a run, as its core goes through them; run.py draws them."""

FORWARD, HELD, REPLAY_AGAIN, UNWINDING, SETTLING, ENDED = "forward", "held", "replay again", "unwinding", "settling", "ended"
