"""Takes what turned out to be true of answers, from requests, files and tables."""
