"""Read and write contracts in the Open Data Contract Standard (ODCS).

Checking data against a contract belongs in `data.contract`.
"""
