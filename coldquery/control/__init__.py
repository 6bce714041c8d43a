"""The control socket of a running gateway: where it lies, who serves it, who asks. Kept empty: asking is quick."""
