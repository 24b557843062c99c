"""What takes the place of what a machine cannot download: plugins of the engine, AWS, programs and archives.

Nobody needs it who has the official ones: see README.md here.
"""
