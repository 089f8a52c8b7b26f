"""The journal on Cassandra 5: one partition per run, conditional batches under Paxos v2, plain rows for the rest."""

from durable_saga_server.journal.cassandra.store import CassandraJournal

__all__ = ["CassandraJournal"]
