"""The sandbox: a drawn world and its own small CLIPs, on which everything runs offline on a CPU."""
