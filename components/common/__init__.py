"""What more than one step needs: errors, files, the IDX format."""
