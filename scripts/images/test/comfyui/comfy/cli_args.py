# start.sh looks here for the arguments that this version knows.
