"""The protocol's pure code on a link and in a world that do all they can to break it."""
