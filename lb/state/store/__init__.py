"""The store that machines share (Redis): imported by the controller and by commands, never by a worker."""
