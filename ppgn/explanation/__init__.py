"""What does this unit want? Real pictures, synthetic ones, a set with diagnostics, changes, maps and a second network's view."""
