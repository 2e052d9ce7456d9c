"""Every limit of the protocol, with its unit and its reason.

Two nodes that disagree about a limit disagree about what is valid, so a limit that is marked (W) is part of
the wire format in ``docs/protocol.md`` and changes with the protocol's version only. The others are this
implementation's own.
"""

from __future__ import annotations

# --- Records ------------------------------------------------------------------------------------------------

PROTOCOL_VERSION_MIN = 1
PROTOCOL_VERSION_MAX = 1
"""(W) The versions this implementation speaks, lowest and highest."""

INTEGER_MAX = 2**53 - 1
"""(W) Largest whole number in a record: what a double, and so any language or database, holds exactly."""

NESTING_DEPTH_MAX = 16
"""(W) Arrays and maps inside each other, unknown fields included. Known records need 4; a reader that
recurses must never run out of stack on a stranger's bytes, and all readers must refuse alike."""

CLOCK_TOLERANCE_SECONDS = 24 * 3600
"""(W) By how much the clocks of honest institutions may differ, a wrong time zone included."""

ENVELOPE_BYTES_MAX = 16 * 1024
"""(W) A signed record with its signatures. Four of the largest fit into one frame."""

ENVELOPE_SIGNATURES_MAX = 16
"""(W) Signatures on one record: as many as a charter may have owner keys."""

RECORD_TYPE_CHARACTERS_MAX = 32
"""(W) Length of a record's type name."""

UNKNOWN_LEASE_SECONDS_MAX = 21 * 24 * 3600
"""(W) Longest life of a record of unknown type: what a head may have, since nobody can judge it better."""

# --- Charters -----------------------------------------------------------------------------------------------

CHARTER_BYTES_MAX = 8 * 1024
"""(W) A charter's envelope: 16 owner keys, 32 node keys, texts and 16 signatures need about 6 KiB."""

CHAIN_CHARTERS_MAX = 64
"""(W) Charters in one chain: a rotation every month for five years."""

CHAIN_BYTES_MAX = 44 * 1024
"""(W) All charters of a chain: it must fit into one HelloProof beside a node record and a proof."""

OWNER_KEYS_MAX = 16
"""(W) Owner keys of one charter: people who can sign for an institution."""

NODE_KEYS_MAX = 32
"""(W) Node keys of one charter: machines of one institution. Larger ones share a key."""

NODE_KEY_ROLES_MAX = 8
"""(W) Roles of one node key; two are known."""

ROLE_CHARACTERS_MAX = 32
"""(W) Length of a role's name."""

NAME_CHARACTERS_MAX = 80
"""(W) Name of an owner or a learnware: one line on a screen."""

ABOUT_CHARACTERS_MAX = 400
"""(W) What an owner says about itself: a short paragraph."""

CONTACT_CHARACTERS_MAX = 200
"""(W) An owner's contact or address in the web."""

WORK_BITS = 18
"""(W) Zero bits that the proof of work of a first charter begins with: about 0.2 s of one core in Python.
It makes a million owners cost days, and one owner nothing that anybody notices."""

# --- Cards --------------------------------------------------------------------------------------------------

CARD_BYTES_MAX = 2048
"""(W) A card: sketch, means and spreads take 770 bytes, hashes and field names about 400, texts the rest."""

SLUG_CHARACTERS_MAX = 64
"""(W) Length of a slug: it stands in addresses and file names."""

SUMMARY_CHARACTERS_MAX = 400
"""(W) Summary of a learnware; longer texts live in the specification blob."""

WORD_CHARACTERS_MAX = 64
"""(W) One word of the vocabulary: data, task, library, scenario, licence, tag, language, lane."""

CARD_WORDS_MAX = 16
"""(W) Scenarios, and tags, of one card."""

SKETCH_BYTES = 256
"""(W) Entries of a sketch, one signed byte each."""

CARDS_REMEMBERED_MAX = 4096
"""Cards that are decoded once though several parts look at them, about 8 MiB: more than come in in the second
until they are shown."""

CARD_COLUMNS_MAX = 64
"""(W) Columns whose mean and spread stand in the card: 2 x 256 bytes."""

# --- Catalogues ---------------------------------------------------------------------------------------------

TREE_FANOUT_BITS = 4
"""(W) A tree node has 2^4 children: one level is 640 bytes on the wire, and 5 levels hold 2^20 buckets."""

BUCKET_ITEMS_MAX = 24
"""(W) Items of a bucket before the tree takes one bit more: 24 hashes are 768 bytes, less than one card."""

TREE_BITS_MAX = 20
"""(W) Largest k: a million buckets, enough for 2^22 cards and more."""

BUCKET_ITEMS_AT_MOST_BITS_MAX = 256
"""(W) Items of a bucket once k is 20. Honest ids are spread and stay below; ids made to collide end here."""

CATALOGUE_CARDS_MAX = 2**22
"""(W) Cards of one catalogue: four times what one node is built for."""

SHELVES_SEARCHED_MAX = 16
"""Shelves that are asked one after another for a card. With more a table says where each card stands,
which costs 170 bytes a card but keeps a change of a catalogue with very many islands cheap."""

# --- Heads and node records ---------------------------------------------------------------------------------

HEAD_LEASE_SECONDS_MAX = 21 * 24 * 3600
"""(W) Longest lease of a head. It bounds how long a withheld update stays unseen."""

HEAD_RENEWAL_SECONDS = 7 * 24 * 3600
"""When a head is renewed: two renewals may fail before the lease ends."""

NODE_LEASE_SECONDS_MAX = 72 * 3600
"""(W) Longest lease of a node record: addresses older than three days are not worth a dial."""

NODE_ADDRESSES_MAX = 4
"""(W) Addresses of one node: two networks, two versions of IP."""

NODE_VIA_MAX = 3
"""(W) Public peers that pass on dial requests to a node that cannot be dialled."""

ADDRESS_CHARACTERS_MAX = 260
"""(W) ``host:port``: the longest name in DNS has 253 characters."""

HELLO_BYTES_MAX = 1024
"""(W) A ``Hello``, unknown fields included: the proofs of both sides repeat it."""

HELLO_LEASE_SECONDS = 600
"""(W) Longest life of the proof of a connection. The nonces bind it; this bounds a mistake."""

# --- Groups -------------------------------------------------------------------------------------------------

GROUP_MEMBERS_MAX = 128
"""(W) Members of a group: 128 with their inviters take 14 KiB, what one envelope holds."""

ROSTER_PARENTS_MAX = 4
"""(W) Rosters that one joins: admins who disagree make two, rarely three."""

ROSTER_LEASE_SECONDS_MAX = 180 * 24 * 3600
"""(W) Longest life of a roster: twice a year somebody must want the group to go on."""

ROSTERS_MAX = 512
"""(W) Rosters of one group: one a week for ten years."""

ADMISSION_LEASE_SECONDS_MAX = 7 * 24 * 3600
"""(W) Longest life of an admission: the next roster folds it in."""

ADMISSIONS_PER_OWNER_MAX = 64
"""(W) Admissions of one registrar that count at once: half of what a roster can fold in."""

GROUPS_MAX = 16
"""(W) Groups of one node, and the tags of a ``groups`` message, whatever their number."""

ROSTER_TIPS_MAX = 16
"""(W) Tips named in one ``roster`` message."""

POLICY_WORDS_MAX = 16
"""(W) Lanes, and required fields, of a group's policy."""

INVITE_LEASE_SECONDS_MAX = 90 * 24 * 3600
"""(W) Longest life of an invite: it lies in a mailbox all the while."""

INVITE_USES_MAX = 128
"""(W) Uses of one invite: as many as a group has members."""

INVITE_ADDRESSES_MAX = 4
"""(W) Addresses of the issuing node in an invite: those of its node record."""

INVITE_CHARACTERS_MAX = 2048
"""(W) Length of an invite as a string; four addresses and a name need about 800."""

REDEMPTION_LEASE_SECONDS = 600
"""(W) Life of the proof of who redeems an invite: one connection, with clocks that differ (the tolerance is
added)."""

REDEEM_REQUEST_BYTES_MAX = 64 * 1024
"""(W) What a newcomer sends: a charter chain, as in a HelloProof, and one record."""

REDEEM_ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""(W) What makes a newcomer a member: 512 rosters of 16 KiB, and 128 charter chains of 44 KiB at worst."""

TOKEN_SECONDS = 900
"""(W) Life of the token by which a member's requests for blobs are told from others'. Membership is looked
up at every request, so this bounds only how long a copied token is of use."""

TOKEN_BYTES_MAX = 256
"""(W) Length of a token; ours has 104 bytes."""

GROUP_LINKS_MIN = 3
"""Members that a node is connected to for each group, where it knows so many."""

ROSTER_REFRESH_SECONDS = 24 * 3600
"""How long a group is served without word from a registrar or admin that its roster is the newest."""

ROSTER_REFRESH_STORED_SECONDS = 3600
"""How often the time of that word is written to the disk."""

# --- Messages -----------------------------------------------------------------------------------------------

FRAME_BYTES_MAX = 64 * 1024
"""(W) One message: small enough that no frame delays the next for long, large enough for 30 cards."""

MESSAGE_TYPE_CHARACTERS_MAX = 31
"""(W) Length of a message's type name: the longest short string of MessagePack."""

NETWORK_CHARACTERS_MAX = 64
"""(W) Name of a network."""

CARD_HASHES_MAX = 512
"""(W) Cards that one ``cards?`` may ask for: 1 MiB of answers at most."""

REMOVED_IDS_MAX = 512
"""(W) Ids that one ``news`` may remove; larger changes push the head alone."""

FRAME_ITEMS_MAX = 2048
"""(W) Items of any other list in a message: a frame of 64 KiB holds no more 32-byte strings."""

ITEM_BYTES_OVERHEAD = 5
"""Most bytes that MessagePack puts before one byte string."""

MESSAGE_BYTES_OVERHEAD = 1024
"""Room that chunking leaves in a frame for a message's other fields."""

# --- Gossip: messages ---------------------------------------------------------------------------------------

OFFERED_IDS_MAX = 128
"""(W) Node records named in one offer: twice what a full membership needs."""

JOIN_HOPS_MAX = 16
"""(W) Links that a newcomer's record may still pass over."""

RECORD_KEYS_MAX = 512
"""(W) Records that one ``records?`` may ask for: bounds what one small request can cost."""

ANNOUNCED_HEADS_MAX = 256
"""(W) Heads named in one ``ihave``."""

RECONCILE_LEGS_MAX = 32
"""(W) Messages of one reconciliation: each goes one of 64 digits deeper, and a million keys need six."""

RECONCILE_RANGES_MAX = 1024
"""(W) Ranges of one message."""

RECONCILE_ENTRIES_MAX = 1500
"""(W) Entries of one range: at most 36 bytes each, so that they fit a frame."""

RECONCILE_LIST_MAX = 6
"""Entries up to which a range is listed instead of split: about where both cost the same bytes."""

RECONCILE_ANSWER_BYTES_MAX = 256 * 1024
"""What one message may be answered with: four frames. The next round finds the rest."""

RECONCILE_ANSWER_FRAMES = 10
"""(W) Frames that one may be answered with: 256 KiB, cut at whole ranges."""

RECONCILE_INVITED_MAX = 4096
"""Frames of one leg that are welcome at a time, counted: more than any two sets need."""

# --- Gossip: membership -------------------------------------------------------------------------------------

FULL_MEMBERSHIP_MAX = 50
"""Nodes up to which everyone knows everyone: their records are 50 KB."""

NODES_KNOWN_MAX = 96
"""Node records kept: the full membership, with room for those that are going away."""

NODES_PER_NETWORK = 12
"""Records of one network above which it makes room first where room is made: a swarm from one provider does
not fill the view, and where all nodes are in one network nothing changes."""

PUBLISHERS_KNOWN_MAX = 10_000
"""Records of nodes that publish, kept beside the passive view: about 10 MB. Of further ones only those in the
passive view are known."""

PUBLISHERS_ASKED_MAX = 16
PUBLISHERS_ASKED_TIMES = 4
"""Missed ones that are asked for at once, and how often each: a node that nobody could dial has none."""

PUBLISHERS_WAITING_MAX = 64
"""Records of nodes that may be about to publish: their first news follows within the same second."""

LINKS_CHOSEN_MIN = 3
"""Links of a node's own choice, which inbound ones never push out."""

LINKS_TARGET = 4
"""Links that a node dials for: a random graph of that degree stays connected when 30 % of its nodes die."""

LINKS_MAX = 12
"""Links of the active view: inbound ones are taken up to here."""

LINKS_NEEDY_MAX = 3
"""Inbound links above these, for such as say that they have no other: anybody can say so, and pushes out who
said it before, nobody else."""

LINKS_HARD_MAX = 24
"""Connections including visits."""

VISIT_SECONDS = 8.0
"""How long a dialler that was refused may stay: time for a repair and a shuffle."""

GREETING_SECONDS = 16.0
"""How long who dialled may take to say how much it needs the link: its first frame, so a second is plenty."""

REFUSED_PAUSE_SECONDS = 60.0
"""Pause after a target said that it is full: it will be for a while."""

DIALS_MAX = 4
"""Dials under way at once."""

DIAL_SECONDS = 10.0
"""How often the number of links is looked after when nothing happens."""

DIAL_PAUSE_SECONDS_MIN = 1.0
"""Pause after the first failed dial of a target; it doubles with each."""

DIAL_PAUSE_SECONDS_MAX = 600.0
"""Longest pause."""

DIAL_FORGOTTEN_SECONDS = 60.0
"""After this a dial whose end was not told is forgotten: the peer was refused before it was taken in."""

SHUFFLE_SECONDS = 60.0
"""How often node records are exchanged with one peer."""

SHUFFLE_SECONDS_SETTLED = 300.0
"""The same once the passive view is larger than a full membership and no link is missing: turns it over
twice an hour, for 25 bytes a second."""

SHUFFLE_IDS = 4
"""Node records offered in a shuffle, and most that a full view asks for at once."""

JOIN_IDS = 24
"""Node records offered to a newcomer: enough to choose its links from."""

JOIN_HOPS = 6
"""Links that the walk of a newcomer's record passes over, after which any node is about as likely to be its
end (HyParView's active random walk length)."""

JOIN_PASSIVE_HOPS = 3
"""Hops before the end at which the record is also taken into a passive view that has room (HyParView's
passive random walk length)."""

REJOIN_SECONDS = 300.0
"""How often a node without a link here is visited, so that components that were separated find each other,
and who is surrounded by liars hears of it. It is a mean: from half to one and a half times of it is drawn."""

REJOIN_SECONDS_MIN = 20.0
"""When the first such visit is due after a start, after several links were lost at once, and after a visit
that brought what no link told: links are made in a hurry then, and may all be bad."""

REJOIN_FACTOR = 2
"""By how much the next one is later, up to ``REJOIN_SECONDS``: after 20, 40, 80, 160 and 300 seconds."""

REJOIN_BOOTSTRAP_SHARE = 0.25
"""Share of these visits that goes to a bootstrap address, which may be everybody's; the rest goes to nodes
of the passive view."""

LOST_TOGETHER_SECONDS = 10.0
"""Links lost within this time count as lost at once."""

STRETCH_FACTOR = 4.0
"""Timeouts are longer by this factor while a node suspects itself."""

STRETCH_SECONDS = 60.0
"""How long that lasts."""

ANCHORS_MAX = 2
"""Long-lived peers that are remembered over a restart."""

BOOTSTRAP_MAX = 32
"""Configured addresses."""

NETWORK_PREFIX_BITS_V4 = 16
NETWORK_PREFIX_BITS_V6 = 32
"""Addresses that share these bits count as one network: what one institution or provider has."""

NODE_RECORD_RENEWAL_SECONDS = 24 * 3600
"""How often a node signs its record anew: two renewals may fail before the lease ends."""

# --- Gossip: peers ------------------------------------------------------------------------------------------

CUT_OFF_SECONDS = 600.0
"""How long a peer whose score fell too low is not taken in again: half of what it did is forgotten then. By
coming back at once it would have a new score, and new work to cause."""

CUT_OFF_MAX = 4096
"""Such peers that are remembered."""

SCORE_HALF_LIFE_SECONDS = 600.0
"""Time in which a peer's score loses half of each term."""

PROMISES_MAX = 64
"""Requests under way at one peer."""

REQUEST_SECONDS_MIN = 2.0
REQUEST_SECONDS_MAX = 10.0
"""Bounds of the time that a peer has to answer, otherwise four round trips."""

WORK_PER_SECOND = 2000.0
"""Units of work (one looked-up item, one verified record) that a peer may ask for: about 2 % of a core."""

WORK_SAVED_MAX = 40_000.0
"""Units that a quiet peer may save up: a first synchronisation."""

PASSED_WORK_PER_SECOND = WORK_PER_SECOND / 2
PASSED_WORK_SAVED_MAX = WORK_SAVED_MAX / 2
"""Units that a node makes a peer pay by what it passes on unasked: half of what the peer lets it, since who
passes on what others made cannot help how much it is. The other half is for what it asks of the peer."""

RANGE_BYTES_MAX = 32 * 1024
"""(W) One part of a blob in a message: an eighth of a leaf, and half a frame."""

RANGE_WORK = 4.0
"""Units for one part of a blob: a peer may have 16 MB/s over its connection."""

DIAL_REQUEST_WORK = 200.0
"""Units for passing on a dial request: it makes another node open a connection."""

REACH_MAX = 64
REACH_SECONDS = 30.0
"""Nodes that this one waits to be dialled by, and for how long."""

VIA_SECONDS = 300
"""Least time between two own records that differ in ``via`` only; the first names come at once."""

NODE_RECORD_WORK = 4.0
"""Units that a node record costs who asks for it: a kilobyte for eight bytes."""

CARD_WORK = 0.1
"""Units that a card costs who asks for it: it is looked up and sent, never computed."""

ENVELOPE_WORK = 10.0
CHAIN_WORK = 50.0
"""Units that records nobody asked for cost their sender: one signature, and a chain of them."""

OWNERS_SPARE_MAX = 512
"""Owners of whom nothing else is held and whose charters are kept all the same: nodes come and go in the
passive view, and their charters would come again."""

OWNERS_CHANGED_MAX = 8192
"""The same of owners that changed their charters, or are frozen: who forgets a change trusts a key again that
was taken away."""

# --- Gossip: records of unknown type ------------------------------------------------------------------------

CARRIED_PER_OWNER_MAX = 8
"""(W) Records of unknown types of one owner in one scope: 128 KiB. All nodes must keep the same ones."""

CARRIED_MAX = 8192
"""Records of unknown types of one scope: 128 MiB at worst, 8 MiB of records as large as a head."""

REPORTS_PER_OWNER_MAX = 32
"""(W) Reports of lying sketches of one owner in one scope: all nodes must keep the same ones."""

REPORTS_PER_CARD = 4
"""Owners whose reports of a card are held from which on a node adds none of its own: a report only makes
others judge, and of one from every node each would get all."""

REPORT_SECONDS = 600.0
"""Who judged a card because of a report adds its own after a wait drawn up to this, while there are fewer.
All judge within a second, and of ten thousand that report at once each would get ten thousand reports; so
about twenty report before everybody knows four."""

REPORT_LEASE_SECONDS_MAX = 21 * 24 * 3600
"""(W) Longest life of a report: that of the heads that it is about."""

UNVOUCHED_CARDS_MAX = 1_000_000
"""Cards of all owners together for whom nobody vouches: what one node is built for; an operator of a smaller
machine, or one that is flooded, sets less."""

VOUCHED_CARDS_MAX = 1_000_000
"""Public cards of all owners together that one member of a group of ours let in: as many as one owner may
need, and no more for who lets in a hundred."""

HEAD_OLD_SECONDS = 8 * 24 * 3600
"""Age at which a head should have been renewed: a day more than honest owners take."""

HEADS_TO_JUDGE_MIN = 4
"""Heads of others from which on their age says something about this node."""

# --- Gossip: why something is absent ------------------------------------------------------------------------

HISTORY_SUBJECTS_MAX = 4096
"""Nodes, owners and cards of which the log keeps reasons: about 2 MB."""

HISTORY_REASONS_MAX = 4
"""Reasons kept of one subject: the newest explain."""

HISTORY_DETAIL_CHARACTERS_MAX = 200
"""Length of a reason's detail, which may quote a peer."""

WHY_REASONS_MAX = 64
"""Reasons in one report: an owner has at most 32 node keys."""

WHY_CARDS_MAX = 20_000
"""Cards of resting catalogues that are read for one question that names no owner: about 0.2 s."""

# --- Gossip: heads and catalogues ---------------------------------------------------------------------------

HEADS_MAX = 100_000
"""Heads of one scope: what 100,000 publishing nodes need."""

REPAIR_SECONDS = 30.0
"""How often the heads of each scope are compared with a peer."""

HOUSEKEEPING_SECONDS = 60.0
"""How often leases are renewed and ended."""

PULL_SECONDS = 1.0
"""How often catalogues that are not whole are looked after, while there are any."""

PULLS_MAX = 64
"""Catalogues pulled at once; the rest of the wanted list waits."""

LARGE_CATALOGUE_CARDS = 2048
"""From so many cards on a catalogue is begun alone with a peer: 50 ms of work for one that made no trees yet.
"""

PULL_REQUESTS_MAX = 16
"""Requests under way for one catalogue."""

PULL_SOURCES_MAX = 8
"""Peers remembered per head as having told of it."""

PENDING_CARDS_PORTION = 480
"""Verified cards that go to the disk, and into an index that shows none of them yet, together: twenty answers
cost one transaction, and a crash costs as many."""

PARTIAL_AFTER_SECONDS = 60.0
"""After this the verified part of a new catalogue is shown in place of the last whole one."""

OWN_HEAD_SECONDS = 10.0
"""How long a node that starts waits for its peers to tell its own newest head before it signs."""

OWN_CATALOGUE_SECONDS = 60.0
"""How long a restored node tries to take back its own newer catalogue before it goes on without."""

PUBLISH_QUEUE_MAX = 256
"""Publications that wait for that."""

# --- Gossip: broadcast --------------------------------------------------------------------------------------

PUSH_BYTES_MAX = 48 * 1024
"""Changes larger than this are announced by the head alone, and pulled."""

PUSHED_FRAMES_MAX = 256
"""News kept to be sent again on request."""

PUSHED_FRAMES_SECONDS = 60.0
"""How long."""

LAZY_SECONDS = 0.1
"""How long announcements are collected: who hears of a head meanwhile need not announce it back."""

LAZY_QUEUE_MAX = 1000
"""Announcements that wait for one peer."""

GRAFT_SECONDS_MIN = 0.25
GRAFT_SECONDS_MAX = 3.0
"""Bounds of the time that an announced head has to come by itself, otherwise a round trip. A piece of the
tree that lost its link waits so long; a push that lost one segment (200 ms) comes before it."""

ANNOUNCED_MAX = 4096
"""Announced heads that are waited for."""

BUSY_SECONDS = 1.0
"""Heads that come within this of each other are taken to be under way at one time: about as long as it takes
news to reach everybody."""

DUPLICATES_BEFORE_PRUNE = 3
"""Duplicates from one peer before it is asked to announce only, while several heads are under way."""

CARDS_PER_REQUEST = 24
"""Cards asked for at once: their answer fits one frame even when all are as large as allowed."""

PULL_PAUSE_SECONDS_MAX = 120.0
"""Longest pause before peers that did not have a catalogue are asked again. Who gets it tells of it, so that
asking again is for what was lost, and for heads without a catalogue it must cost little."""

RECONCILE_QUEUE_MAX = 100_000
"""Keys that wait to be asked for at one peer."""

ADDRESSES_REMEMBERED = 16_384
"""Addresses whose network is remembered: telling it takes longer than all else in choosing whom to dial."""

ANNOUNCED_HEAD_WORK = 16.0
"""Units of work that an announced head costs its announcer: no honest network has 125 a second."""

BRIDGE_PLANKS_MAX = 256
"""Columns of a published bridge: 8 KiB, an eighth of an envelope. Tables with more have no bridge."""
