------------------------------ MODULE Linking ------------------------------
\* One event, one lane, workers that come and go: the event's profile is linked at most once.
\*
\* The ledger holds the lane's epoch and the event's row. A write travels: its condition on the epoch is judged when it
\* arrives and again, if it locks, when it commits; meanwhile its sender may die or another may raise the epoch. A call
\* travels too, for at most Timeout ticks, whoever sent it. Every worker may stand still at any time while ticks pass:
\* that is a freeze. Two workers may both believe that the lane is theirs: nothing here asks Kafka for permission.
\*
\* The check before a send and the send are one step: the named residue of docs/guarantees.md lies between them.
EXTENDS Naturals, TLC

CONSTANTS
    Workers,
    MaxEpoch,              \* the lane is taken so often at most
    Fresh,                 \* ticks for which a confirmation of the epoch lets calls go
    Timeout,               \* ticks after which a call on the wire takes effect no more
    \* The rules; each is switched off in turn by check.sh.
    WriteAhead,            \* the row says that a link may be sent before one is
    LookFirst,             \* a row that says so is looked up before anything is sent
    LockedCondition,       \* a write's condition on the epoch holds the lane until the write commits
    RaiseFirst,            \* the epoch is raised before the row is read
    FreshCheck,            \* a call leaves only with a fresh confirmation
    AgeFromRequest,        \* a confirmation's age counts from its request, not from its answer
    SuccessorWaits,        \* who takes over waits until no call of a predecessor can take effect
    CleanOnlyWhenQuiet,    \* a release is clean only if no call is on the wire
    CleanOnlyAfterWait     \* and only if one's own wait is over

VARIABLES
    epoch, clean,          \* the lane's row
    row,                   \* the event's: "accepted", "intended" (a link may be sent), "ended"
    writes,                \* on their way to the ledger
    wire,                  \* calls on their way to the vendor
    profiles,              \* what the vendor has of ours
    worker

vars == <<epoch, clean, row, writes, wire, profiles, worker>>

Symmetry == Permutations(Workers)
Wait == Fresh + Timeout
Older(age, limit) == IF age < limit THEN age + 1 ELSE limit
Out == [at |-> "out", epoch |-> 0, seen |-> "none", wait |-> 0, confirmed |-> Fresh, asked |-> "no", since |-> 0]

Init ==
    /\ epoch = 0 /\ clean = TRUE
    /\ row = "accepted"
    /\ writes = {} /\ wire = {} /\ profiles = 0
    /\ worker = [w \in Workers |-> Out]

Set(w, fields) == worker' = [worker EXCEPT ![w] = [f \in DOMAIN @ |-> IF f \in DOMAIN fields THEN fields[f] ELSE @[f]]]
At(w, place) == worker[w].at = place
Holds(w) == worker[w].epoch = epoch

\* ---- taking a lane -------------------------------------------------------------------------------------------------

Raised(w, next) ==
    /\ epoch < MaxEpoch
    /\ epoch' = epoch + 1 /\ clean' = FALSE
    /\ Set(w, [at |-> next, epoch |-> epoch + 1, confirmed |-> Fresh, asked |-> "no",
               wait |-> IF clean \/ ~SuccessorWaits THEN 0 ELSE Wait])
    /\ UNCHANGED <<row, writes, wire, profiles>>

Take(w) ==
    /\ At(w, "out")
    /\ IF RaiseFirst THEN Raised(w, "raised")
       ELSE Set(w, [at |-> "read", seen |-> row]) /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

RaiseLate(w) == At(w, "read") /\ Raised(w, "resting")

ReadRow(w) ==
    /\ At(w, "raised")
    /\ IF Holds(w) THEN Set(w, [at |-> "resting", seen |-> row]) ELSE worker' = [worker EXCEPT ![w] = Out]
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

Begin(w) ==
    /\ At(w, "resting") /\ worker[w].wait = 0
    /\ Set(w, [at |-> CASE worker[w].seen = "ended" -> "idle"
                        [] worker[w].seen = "intended" -> IF LookFirst THEN "look" ELSE "send"
                        [] OTHER -> IF WriteAhead THEN "intend" ELSE "send"])
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

\* ---- writes --------------------------------------------------------------------------------------------------------

Write(w, from, while, to) ==
    /\ At(w, from)
    /\ writes' = writes \cup {[by |-> w, epoch |-> worker[w].epoch, to |-> to, held |-> LockedCondition \/ Holds(w)]}
    /\ Set(w, [at |-> while])
    /\ UNCHANGED <<epoch, clean, row, wire, profiles>>

Intend(w) == Write(w, "intend", "intending", "intended")
End(w) == Write(w, "end", "ending", "ended")

Commit(write) ==
    LET held == IF LockedCondition THEN write.epoch = epoch ELSE write.held
        w == write.by
        waits == worker[w].epoch = write.epoch /\ worker[w].at \in {"intending", "ending"}
        next == IF write.to = "intended" THEN "send" ELSE "idle"
    IN  /\ writes' = writes \ {write}
        /\ row' = IF held /\ row # "ended" THEN write.to ELSE row
        /\ IF ~waits THEN UNCHANGED worker
           ELSE IF held THEN Set(w, [at |-> next]) ELSE worker' = [worker EXCEPT ![w] = Out]
        /\ UNCHANGED <<epoch, clean, wire, profiles>>

\* ---- confirmations and calls ---------------------------------------------------------------------------------------

\* The ledger judges at once; the answer may take any time.
Ask(w) ==
    /\ ~At(w, "out") /\ ~At(w, "read") /\ worker[w].asked = "no"
    /\ Set(w, [asked |-> IF Holds(w) THEN "same" ELSE "other", since |-> 0])
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

Answered(w) ==
    /\ worker[w].asked # "no"
    /\ IF worker[w].asked = "same"
       THEN Set(w, [asked |-> "no", since |-> 0, confirmed |-> IF AgeFromRequest THEN worker[w].since ELSE 0])
       ELSE worker' = [worker EXCEPT ![w] = Out]
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

Send(w) ==
    /\ At(w, "send")
    /\ FreshCheck => worker[w].confirmed < Fresh
    /\ wire' = wire \cup {[by |-> w, epoch |-> worker[w].epoch, age |-> 0]}
    /\ Set(w, [at |-> "calling"])
    /\ UNCHANGED <<epoch, clean, row, writes, profiles>>

Call(w) == {call \in wire : call.by = w /\ call.epoch = worker[w].epoch}

\* The vendor does it; its answer comes back or not.
Apply(call) ==
    LET w == call.by IN
    /\ wire' = wire \ {call} /\ profiles' = profiles + 1
    /\ \/ At(w, "calling") /\ worker[w].epoch = call.epoch /\ Set(w, [at |-> "end"])
       \/ UNCHANGED worker
    /\ UNCHANGED <<epoch, clean, row, writes>>

Lose(call) == wire' = wire \ {call} /\ UNCHANGED <<epoch, clean, row, writes, profiles, worker>>

\* No answer, and the time to settle is over: nothing of this call can take effect any more.
GiveUp(w) ==
    /\ At(w, "calling") /\ Call(w) = {}
    /\ Set(w, [at |-> "look"])
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

Look(w) ==
    /\ At(w, "look")
    /\ Set(w, [at |-> IF profiles > 0 THEN "end" ELSE "send"])
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

\* ---- leaving -------------------------------------------------------------------------------------------------------

Release(w) ==
    LET quiet == CleanOnlyWhenQuiet => Call(w) = {}
        over == CleanOnlyAfterWait => worker[w].wait = 0
    IN  /\ ~At(w, "out") /\ ~At(w, "read")
        /\ clean' = IF Holds(w) THEN quiet /\ over ELSE clean
        /\ worker' = [worker EXCEPT ![w] = Out]
        /\ UNCHANGED <<epoch, row, writes, wire, profiles>>

Crash(w) ==
    /\ ~At(w, "out")
    /\ worker' = [worker EXCEPT ![w] = Out]
    /\ UNCHANGED <<epoch, clean, row, writes, wire, profiles>>

\* ---- time ----------------------------------------------------------------------------------------------------------

Tick ==
    /\ \A call \in wire : call.age < Timeout
    /\ wire' = {[call EXCEPT !.age = @ + 1] : call \in wire}
    /\ worker' = [w \in Workers |-> [worker[w] EXCEPT
           !.wait = IF @ > 0 THEN @ - 1 ELSE 0,
           !.confirmed = Older(@, Fresh),
           !.since = IF worker[w].asked = "no" THEN 0 ELSE Older(@, Fresh)]]
    /\ UNCHANGED <<epoch, clean, row, writes, profiles>>

Next ==
    \/ Tick
    \/ \E w \in Workers :
        \/ Take(w) \/ RaiseLate(w) \/ ReadRow(w) \/ Begin(w) \/ Intend(w) \/ End(w) \/ Ask(w) \/ Answered(w)
        \/ Send(w) \/ GiveUp(w) \/ Look(w) \/ Release(w) \/ Crash(w)
    \/ \E write \in writes : Commit(write)
    \/ \E call \in wire : Apply(call) \/ Lose(call)

Spec == Init /\ [][Next]_vars

\* ---- what must hold ------------------------------------------------------------------------------------------------

\* I2.
LinkedAtMostOnce == profiles <= 1
\* An end says that the profile is there.
EndedIsLinked == row = "ended" => profiles >= 1

\* Not rules but questions: that these are broken shows that the model reaches what it is about.
NeverEnds == row # "ended"
NeverTwoOwners == \A v, w \in Workers : v # w => ~(At(v, "calling") /\ worker[w].at \in {"look", "send", "resting"})
=============================================================================
