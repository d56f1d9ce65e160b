"""The contract of a table: types, rules, checks of the whole."""
