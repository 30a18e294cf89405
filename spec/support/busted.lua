-- Runs busted inside this interpreter; `lest run spec/support/busted.lua [BUSTED OPTION...] [PATH...]`.
package.path = "spec/?.lua;" .. package.path
require "busted.runner" { standalone = false }
