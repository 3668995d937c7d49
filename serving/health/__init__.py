"""What keeps a server serving, and tells truthfully whether it does.

stubs      the processes of the Python steps, and which versions lack some of theirs
expected   the ensembles that a server is expected to answer for
tries      how often, and after which waits, something is brought back
state      what is wrong now and what has been done, told by one thread to another
readiness  real requests, canaries, that show which systems answer
keeper     watches the steps and the server, and brings them back
sidecar    tells it all to whoever asks over HTTP
"""
