"""What the wire tests share: models made on the spot, processes looked at from outside, raw sockets."""
