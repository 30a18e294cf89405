--- What each key of FLEET.lua means: the text of lest-fleet.lua(5). A sentence or more for every
--- key of shape.lua, which says its type, range and default; a table has its own at [1].
return {
  server = "The configuration of a server whose ledger is for nothing else. It is started by this "
    .. "command, by the simulation's clock. By default one is made in `out`, by `lest ca init`.",
  url = "With `load`: a server that runs already, and stays.",
  trust = "A PEM file of what vouches for the server; by default `ca.pem` beside `server`.",
  secrets = "With `url`: a file with a device's name and its secret on each line.",
  devices = "How many devices there are.",
  name = "What their names begin with.",
  duration = "For how long they live, in simulated time; a simulation needs it.",
  arrival = "Over which time they are switched on for the first time, one after the other; 30 days "
    .. "unless it is given.",
  step = "Moments that are nearer to each other than this are one, so that what is due then runs "
    .. "side by side. By default a part of `duration`, and two hours at most.",
  concurrency = "How many devices are served at once, where so many are due.",
  seed = "Of chance: with the same one, the same devices go away at the same times.",
  device = "Keys of an identity of lest-agent.lua(5), for all of them; names and secrets are each "
    .. "one's own.",
  groups = {
    "What some of the devices do that others do not: one habit for each group, whose devices "
      .. "chance chooses.",
    share = "How large a part of all devices it is, as 0.05.",
    away = "They are away for so long, without a network; with `every`.",
    every = "With `away`: from one time that they leave to the next.",
    power = "The share of their steps that end with their power, at some moment, and with all that "
      .. "was not durable.",
    hammer = "They renew so often, due or not.",
    wrong_secret = "They try a wrong secret so often.",
    broken_csr = "They send a request so often whose signature is not its key's.",
  },
  events = {
    "What happens to the server, each at its time; one of `outage` and `run`.",
    at = "When, since the beginning.",
    outage = "The server is stopped for so long.",
    run = "A program and its arguments, without a shell. The word `lest` at the beginning is this "
      .. "binary, by the simulation's clock; `{folder}` is the folder of the file, `{server}` that "
      .. "of the server's configuration. One that fails ends the simulation.",
    name = "What the picture calls it.",
  },
  load = {
    "In place of a simulation: the devices enroll and renew in real time, and percentiles are "
      .. "told.",
    renewals = "How often each renews.",
    rate = "How many begin in a second, at times that chance chooses; a latency then has the time "
      .. "in which none of `concurrency` was free. By default one begins when another has ended.",
  },
  start = "How long the server may take to start, in real time.",
  out = "The folder of `hours.csv`, `fleet.svg`, `server.log` and the clock.",
}
