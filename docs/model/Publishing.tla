----------------------------- MODULE Publishing -----------------------------
\* One lane with a few inputs, workers, a group and its transactions: each input's result is seen once, whatever died.
\*
\* Kafka's coordinator has its own view of who holds the lane; a worker learns of it later or never. Results go out in
\* cycles. A cycle is one transaction: the results, and then the lane's position with the cursor, which the coordinator
\* takes only from a member of the present generation. A commit may take effect unseen, also after its sender's death.
\* Numbers of results begin at 1; a worker's memory of them is a sequence.
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Workers,
    Inputs,                \* so many
    MaxGeneration,         \* so many rebalances at most
    MaxEpoch,
    \* The rules; each is switched off in turn by check.sh.
    LockedCondition,       \* a write's condition on the epoch holds the lane until the write commits
    RaiseFirst,            \* the epoch is raised before rows and numbers are read
    DurableFirst,          \* only results whose end is durable go into a cycle
    AcceptFirst,           \* a cycle's position is the accepted one, not the fetched one
    CursorInCommit,        \* the cursor travels in the transaction; else it is only saved afterwards
    StableRead,            \* the cursor is read when no transaction holds the lane's position open
    ReadBackInDoubt,       \* after a commit without an answer the cursor is read back
    MetadataAtAssembly,    \* the membership is that of the cycle's beginning, not that of its commit
    AnswerAfterCycle       \* a revoked or lost lane is given back only when its cycle has ended

VARIABLES
    epoch, accepted, outbox, saved, writes,       \* the ledger; outbox: <<number, input>>, all that was ever durable
    generation, holder, members,                  \* the coordinator
    cursor, position,                             \* the lane's commit
    seen,                                         \* how often a read_committed reader has seen each input's result
    orphans,                                      \* transactions whose producer is dead
    worker

ledger == <<epoch, accepted, outbox, saved, writes>>
coordinator == <<generation, holder, members>>
kafka == <<cursor, position, seen, orphans>>
vars == <<ledger, coordinator, kafka, worker>>

Symmetry == Permutations(Workers)
Nobody == "nobody"
NoCycle == [at |-> "none", results |-> <<>>, from |-> 0, to |-> 0, position |-> 0, generation |-> 0]
Doubt == [NoCycle EXCEPT !.at = "doubt"]
Idle == [at |-> "idle", generation |-> 0, revoking |-> FALSE, epoch |-> 0, memory |-> <<>>, durable |-> 0,
         cursor |-> 0, fetched |-> 0, cycle |-> NoCycle]

Max(a, b) == IF a > b THEN a ELSE b

Init ==
    /\ epoch = 0 /\ accepted = 0 /\ outbox = {} /\ saved = 0 /\ writes = {}
    /\ generation = 0 /\ holder = Nobody /\ members = Workers
    /\ cursor = 0 /\ position = 0 /\ seen = [i \in 1..Inputs |-> 0] /\ orphans = {}
    /\ worker = [w \in Workers |-> Idle]

Set(w, fields) == worker' = [worker EXCEPT ![w] = [f \in DOMAIN @ |-> IF f \in DOMAIN fields THEN fields[f] ELSE @[f]]]
Cycle(w, fields) ==
    worker' = [worker EXCEPT ![w].cycle = [f \in DOMAIN @ |-> IF f \in DOMAIN fields THEN fields[f] ELSE @[f]]]
At(w, place) == worker[w].at = place
InCycle(w, place) == worker[w].cycle.at = place
Holds(w) == worker[w].epoch = epoch
\* What it drops when the lane is no longer its own: all but its membership, and a cycle that is still under way.
Dropped(w) == [Idle EXCEPT !.generation = worker[w].generation, !.revoking = worker[w].revoking,
                           !.cycle = worker[w].cycle]

Numbers == {entry[1] : entry \in outbox}
Last == IF Numbers = {} THEN 0 ELSE CHOOSE n \in Numbers : \A m \in Numbers : m <= n
Entry(n) == (CHOOSE entry \in outbox : entry[1] = n)[2]
Ended(i) == \E entry \in outbox : entry[2] = i

\* ---- the group -----------------------------------------------------------------------------------------------------

\* All members join anew. A lane that nobody has goes to one of them; its holder may be asked to give it back.
Rebalance ==
    /\ generation < MaxGeneration /\ members # {}
    /\ \A w \in members : ~worker[w].revoking
    /\ generation' = generation + 1
    /\ \/ /\ holder = Nobody
          /\ \E to \in members :
              /\ At(to, "idle")
              /\ holder' = to
              /\ worker' = [w \in Workers |-> [worker[w] EXCEPT
                     !.generation = IF w \in members THEN generation + 1 ELSE @,
                     !.at = IF w = to THEN "given" ELSE @]]
       \/ /\ holder # Nobody
          /\ worker' = [w \in Workers |-> [worker[w] EXCEPT
                 !.generation = IF w \in members THEN generation + 1 ELSE @,
                 !.revoking = IF w = holder THEN TRUE ELSE @]]
          /\ UNCHANGED holder
    /\ UNCHANGED <<members, ledger, kafka>>

MayAnswer(w) == AnswerAfterCycle => InCycle(w, "none")

GiveBack(w) ==
    /\ worker[w].revoking /\ holder = w /\ MayAnswer(w)
    /\ holder' = Nobody
    /\ worker' = [worker EXCEPT ![w] = [Dropped(w) EXCEPT !.revoking = FALSE]]
    /\ UNCHANGED <<generation, members, ledger, kafka>>

\* The coordinator gives a member up, which does not know.
Evict(w) ==
    /\ w \in members /\ generation < MaxGeneration
    /\ members' = members \ {w}
    /\ holder' = IF holder = w THEN Nobody ELSE holder
    /\ UNCHANGED <<generation, ledger, kafka, worker>>

\* It finds out and joins again; its generation comes with the next rebalance.
Rejoin(w) ==
    /\ w \notin members /\ MayAnswer(w)
    /\ members' = members \cup {w}
    /\ worker' = [worker EXCEPT ![w] = [Dropped(w) EXCEPT !.generation = 0, !.revoking = FALSE]]
    /\ UNCHANGED <<generation, holder, ledger, kafka>>

Crash(w) ==
    /\ worker[w] # Idle /\ generation < MaxGeneration
    /\ members' = members \ {w}
    /\ holder' = IF holder = w THEN Nobody ELSE holder
    /\ orphans' = IF worker[w].cycle.at \in {"sent", "asked"} THEN orphans \cup {worker[w].cycle} ELSE orphans
    /\ worker' = [worker EXCEPT ![w] = Idle]
    /\ UNCHANGED <<generation, ledger, cursor, position, seen>>

\* ---- taking the lane -----------------------------------------------------------------------------------------------

Raised(w, next) ==
    /\ epoch < MaxEpoch
    /\ epoch' = epoch + 1
    /\ Set(w, [at |-> next, epoch |-> epoch + 1])
    /\ UNCHANGED <<accepted, outbox, saved, writes, coordinator, kafka>>

ReadRows(w, next) ==
    /\ Set(w, [at |-> next, memory |-> [n \in 1..Last |-> Entry(n)], durable |-> Last,
               fetched |-> IF AcceptFirst THEN 0 ELSE accepted])
    /\ UNCHANGED <<ledger, coordinator, kafka>>

Take(w) ==
    \/ At(w, "given") /\ IF RaiseFirst THEN Raised(w, "raised") ELSE ReadRows(w, "early")
    \/ At(w, "raised") /\ Holds(w) /\ ReadRows(w, "read")
    \/ At(w, "early") /\ Raised(w, "read")

Pending == \E v \in Workers : worker[v].cycle.at \in {"sent", "asked"}
Stable == StableRead => ~Pending /\ orphans = {}

Resume(w) ==
    /\ At(w, "read") /\ InCycle(w, "none") /\ Stable
    /\ Set(w, [at |-> "running", cursor |-> Max(cursor, saved)])
    /\ UNCHANGED <<ledger, coordinator, kafka>>

\* ---- work ----------------------------------------------------------------------------------------------------------

\* What was fetched matters only to one who commits it.
Fetch(w) ==
    /\ At(w, "running") /\ ~AcceptFirst /\ worker[w].fetched < Inputs
    /\ Set(w, [fetched |-> worker[w].fetched + 1])
    /\ UNCHANGED <<ledger, coordinator, kafka>>

\* One statement; a refused one tells the worker that it is no longer the owner.
Accept(w) ==
    /\ At(w, "running")
    /\ IF AcceptFirst THEN accepted < Inputs ELSE worker[w].fetched > accepted
    /\ IF Holds(w) THEN accepted' = accepted + 1 /\ UNCHANGED worker
       ELSE worker' = [worker EXCEPT ![w] = Dropped(w)] /\ UNCHANGED accepted
    /\ UNCHANGED <<epoch, outbox, saved, writes, coordinator, kafka>>

Known(w, i) == \E n \in 1..Len(worker[w].memory) : worker[w].memory[n] = i

End(w, i) ==
    /\ At(w, "running") /\ i <= accepted /\ ~Known(w, i)
    /\ LET memory == Append(worker[w].memory, i) IN
        /\ writes' = writes \cup {[by |-> w, epoch |-> worker[w].epoch, number |-> Len(memory), input |-> i,
                                   held |-> LockedCondition \/ Holds(w)]}
        /\ Set(w, [memory |-> memory])
    /\ UNCHANGED <<epoch, accepted, outbox, saved, coordinator, kafka>>

\* A lane's ends are written one after the other.
Commit(write) ==
    LET held == IF LockedCondition THEN write.epoch = epoch ELSE write.held
        w == write.by
        lives == worker[w].epoch = write.epoch /\ At(w, "running")
    IN  /\ \A other \in writes : other.epoch = write.epoch => other.number >= write.number
        /\ writes' = writes \ {write}
        /\ outbox' = IF held /\ ~Ended(write.input) THEN outbox \cup {<<write.number, write.input>>} ELSE outbox
        /\ IF ~lives THEN UNCHANGED worker
           ELSE IF held THEN Set(w, [durable |-> Max(worker[w].durable, write.number)])
           ELSE worker' = [worker EXCEPT ![w] = Dropped(w)]
        /\ UNCHANGED <<epoch, accepted, saved, coordinator, kafka>>

Save(w) ==
    /\ At(w, "running") /\ Holds(w) /\ worker[w].cursor > saved
    /\ saved' = worker[w].cursor
    /\ UNCHANGED <<epoch, accepted, outbox, writes, coordinator, kafka, worker>>

\* ---- cycles --------------------------------------------------------------------------------------------------------

Compose(w) ==
    LET to == IF DurableFirst THEN worker[w].durable ELSE Len(worker[w].memory)
        place == IF AcceptFirst THEN accepted ELSE worker[w].fetched
    IN  /\ At(w, "running") /\ InCycle(w, "none") /\ ~worker[w].revoking
        /\ to > worker[w].cursor \/ place > position
        /\ Cycle(w, [at |-> "made", from |-> worker[w].cursor, to |-> to, position |-> place,
                     results |-> SubSeq(worker[w].memory, worker[w].cursor + 1, to),
                     generation |-> worker[w].generation])
        /\ UNCHANGED <<ledger, coordinator, kafka>>

\* The results were sent before; now position and cursor, under a membership.
SendOffsets(w) ==
    LET membership == IF MetadataAtAssembly THEN worker[w].cycle.generation ELSE worker[w].generation
    IN  /\ InCycle(w, "made")
        /\ IF w \in members /\ membership = generation THEN Cycle(w, [at |-> "sent"])
           ELSE worker' = [worker EXCEPT ![w].cycle = NoCycle]
        /\ UNCHANGED <<ledger, coordinator, kafka>>

AskForCommit(w) ==
    /\ InCycle(w, "sent")
    /\ Cycle(w, [at |-> "asked"])
    /\ UNCHANGED <<ledger, coordinator, kafka>>

Shown(cycle) ==
    /\ seen' = [i \in 1..Inputs |-> seen[i] + Cardinality({n \in 1..Len(cycle.results) : cycle.results[n] = i})]
    /\ position' = cycle.position
    /\ cursor' = IF CursorInCommit THEN cycle.to ELSE cursor

\* The commit takes effect; its answer comes, or is lost.
Committed(w) ==
    /\ InCycle(w, "asked") /\ Shown(worker[w].cycle)
    /\ \/ worker' = [worker EXCEPT ![w].cycle = NoCycle,
                                   ![w].cursor = IF At(w, "running") THEN Max(@, worker[w].cycle.to) ELSE @]
       \/ worker' = [worker EXCEPT ![w].cycle = Doubt]
    /\ UNCHANGED <<ledger, coordinator, orphans>>

\* The broker aborts it: its time is up, or a new producer of the same transactional id has fenced it.
Aborted(w) ==
    /\ worker[w].cycle.at \in {"sent", "asked"}
    /\ worker' = [worker EXCEPT ![w].cycle = Doubt]
    /\ UNCHANGED <<ledger, coordinator, kafka>>

\* A new producer has ended the old transaction; what the lane's commit says is true.
Resolve(w) ==
    /\ InCycle(w, "doubt")
    /\ ReadBackInDoubt => Stable
    /\ worker' = [worker EXCEPT ![w].cycle = NoCycle,
           ![w].cursor = IF At(w, "running") /\ ReadBackInDoubt THEN Max(@, cursor) ELSE @]
    /\ UNCHANGED <<ledger, coordinator, kafka>>

Orphaned(cycle) ==
    /\ orphans' = orphans \ {cycle}
    /\ \/ cycle.at = "asked" /\ Shown(cycle)
       \/ UNCHANGED <<seen, position, cursor>>
    /\ UNCHANGED <<ledger, coordinator, worker>>

Next ==
    \/ Rebalance
    \/ \E w \in Workers :
        \/ GiveBack(w) \/ Evict(w) \/ Rejoin(w) \/ Crash(w) \/ Take(w) \/ Resume(w)
        \/ Fetch(w) \/ Accept(w) \/ Save(w) \/ Compose(w) \/ SendOffsets(w) \/ AskForCommit(w)
        \/ Committed(w) \/ Aborted(w) \/ Resolve(w)
        \/ \E i \in 1..Inputs : End(w, i)
    \/ \E write \in writes : Commit(write)
    \/ \E cycle \in orphans : Orphaned(cycle)

Spec == Init /\ [][Next]_vars

\* ---- what must hold ------------------------------------------------------------------------------------------------

\* I1, for a read_committed reader.
SeenAtMostOnce == \A i \in 1..Inputs : seen[i] <= 1
\* No result is ever left behind: what a cursor covers was durable, and was seen.
CursorCoversWhatWasSeen ==
    \A n \in 1..Max(cursor, saved) : \E entry \in outbox : entry[1] = n /\ seen[entry[2]] >= 1
\* I3.
PositionCoversAccepted == position <= accepted
\* A number is given once.
NumbersOnce == Cardinality(Numbers) = Cardinality(outbox)

\* Not rules but questions: that these are broken shows that the model reaches what it is about.
NeverAllSeen == \E i \in 1..Inputs : seen[i] = 0
NeverTakenOver == ~(epoch = MaxEpoch /\ cursor > 0 /\ \E w \in Workers : At(w, "running") /\ Holds(w))
=============================================================================
