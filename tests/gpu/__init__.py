"""What a GPU is to do, tested on one: `make test-gpu`.

Each test is also written for the processor, so that it is not broken when a GPU comes by.
"""
