-- The worker of a supervisor under test: the stand-in of specs in its place.
return { main = require "lest.standin" }
