"""A gateway and its devices on a bad link, in one seeded loop over the real pure code."""
