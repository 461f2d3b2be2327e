"""The words and the wire of tallysync: what gateway and device say, without any I/O."""
