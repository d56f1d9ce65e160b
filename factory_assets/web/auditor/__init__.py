"""The auditor's pages: what is on record, from an answer back to the line of its source."""
