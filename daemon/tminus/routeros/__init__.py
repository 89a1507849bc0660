"""What RouterOS says and means. Pure: no I/O, no clock. Nothing outside this package reads or writes RouterOS text."""
