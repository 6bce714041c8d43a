"""A second front door: hot calls, past the framework, to the same tools.

It answers the calls that it fully understands. All else goes to FastMCP as it came, so that what is wrong with a
request is always told by the same code.
"""
