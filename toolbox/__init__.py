"""What programs for developers of this project share: lines of progress, tasks side by side, the cache, the error."""
