"""The tests of the repository: real DVC, real git, the Azurite emulator; and the demo."""
