"""From a photograph to an answer."""
