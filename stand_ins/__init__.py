"""Stand-ins for what a machine cannot download: plugins of the engine, AWS, programs and archives.

No user needs this folder: see its README.md.
"""
