"""The durable record of every answer: ids, the journal, and the stores that are filled from it."""
