"""The contract of a table: types, row-level rules, checks of the whole table."""
