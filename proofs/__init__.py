"""What is fuzzed, proved and measured of csrc; README.md in this folder lists the commands."""
