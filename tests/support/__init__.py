"""What the tests of connections stand on: peers that write down what they got."""
