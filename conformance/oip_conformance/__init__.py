"""A conformance suite for the Open Inference Protocol: any server's URL is its argument. README.md explains it."""
