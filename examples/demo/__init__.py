"""The order saga against three services with ledgers of their own, under kill -9."""
