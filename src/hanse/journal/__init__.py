"""The record of what was decided and what happened: vocabulary, encoding and chain. Pure; keeping it is the store's."""
