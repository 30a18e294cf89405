return { main = require "lest.standin" }
