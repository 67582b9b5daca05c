"""The `jaxhdr` command and its subcommands."""
