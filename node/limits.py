"""Every bound of the node, with unit and reason; the protocol has its own in ``protocol/limits.py``."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

FRAMES_UNHANDLED_MAX: Final = 1024
"""Received frames waiting for the state machine, of all peers together: 64 MiB. Readers wait their turn
when it is full, so a flood slows its sender and nobody else for long."""

FRAMES_QUEUED_MAX: Final = 512
"""Frames waiting for one peer. A peer that lets so many pile up has stopped reading and is disconnected."""

FRAME_SEND_SECONDS_MAX: Final = 30.0
"""Longest time that one frame may take into the socket before the peer counts as stalled."""

HANDSHAKE_SECONDS_MAX: Final = 10.0
"""Time from the TCP connection to the end of both proofs; covers a slow link and ends half-open ones."""

CLOSE_SECONDS_MAX: Final = 1.0
"""Time for the closing handshake of a WebSocket; then the connection is cut."""

DIAL_SECONDS_MAX: Final = 10.0
"""Time for TCP and TLS when dialling."""

HEARTBEAT_SECONDS: Final = 20.0
"""Time between pings on a connection; a peer that leaves one unanswered for half as long is gone."""

CONNECTIONS_PER_PEER_MAX: Final = 4
"""Connections that this node opens to one other for blobs: ranges in parallel, without crowding it."""

LAN_NODES_MAX: Final = 16
"""Nodes found on the LAN that are kept in mind; one link leads to all others."""

LAN_QUERY_SECONDS_MAX: Final = 3
"""How long a service on the LAN may take to say its address."""

TROUBLES_MAX: Final = 32
"""Dials that failed and are remembered with their reasons, for `skerry doctor`."""

INBOUND_MAX: Final = 1024
"""Open inbound gossip connections; the operating system's file limit must leave room for blobs."""

INBOUND_HANDSHAKES_MAX: Final = 128
"""Inbound connections that have not proved who they are, all together: half-open ones cannot take all
places."""

LISTEN_BACKLOG: Final = 512
"""Connections that the kernel holds for us while we are busy."""

KEEPALIVE_SECONDS: Final = 30.0
"""How long an HTTP connection may idle between requests."""

REQUEST_HEADER_BYTES_MAX: Final = 16 * KIB
"""Longest header line and header block of a request; a range request for one leaf list needs far less."""

API_BODY_BYTES_MAX: Final = 8 * MIB
"""Largest JSON body of the local API: a requirement of 1,000 points in 256 columns as base64 fits twice."""

BLOBS_SERVED_MAX: Final = 256
"""Answers with a blob under way at one time; each holds an open file and one chunk."""

BLOB_WRITE_SECONDS_MAX: Final = 60.0
"""Longest time that a reader may take for one chunk: 4 KiB/s."""

SEND_TURN_BYTES: Final = 4 * MIB
"""What one reader of a blob gets before the event loop looks after others: a millisecond or two of a core."""

SEND_THREADS_MAX: Final = 4
"""Readers of blobs for whom the kernel sends in a thread at one time: they share the line and the cores
anyhow, and all others are served by the event loop."""

SEND_THREAD_TURN_BYTES: Final = 16 * MIB
"""What a thread sends in one turn: a few milliseconds for a fast reader, beside which being woken costs
nothing; for the slowest that does not stall, 64 KiB within the time below, 13 s."""

SEND_THREAD_BYTES_MIN: Final = 1 * MIB
"""What is worth a thread; the socket itself takes about as much at once."""

SEND_STALL_SECONDS: Final = 0.05
"""How long a thread waits for a reader before the event loop does: longer than a busy machine keeps a program
waiting."""

SEND_CHECK_SECONDS: Final = 1.0
"""How often it is asked while a thread sends whether the reader may still have the blob; "no" has to work
within five."""

PACE_BURST_SECONDS: Final = 0.1
"""Seconds' worth of a limited rate that may be saved up, so that short pauses do not lower it."""

PACE_TURN_SECONDS: Final = 0.25
"""Seconds' worth of a limited rate that one reader gets at once: even a hundred readers that share it see
nothing of the 30 s after which they would take the line for dead."""

PACE_TURN_BYTES_MIN: Final = 16 * KIB
"""What one reader gets at once however low the limit is: one record of TLS."""

BLOB_CHUNK_BYTES: Final = 256 * KIB
"""Piece in which blobs are read and written: one leaf of the hash tree."""

UPLOAD_SECONDS_BETWEEN_CHUNKS_MAX: Final = 30.0
"""Longest silence within an upload."""

SEARCH_HITS_MAX: Final = 1000
"""Most hits in one answer."""

SEARCH_CANDIDATES: Final = 300
"""Cards that pass the prefilter and are compared exactly; the sketch alone has the true nearest among so
many."""

SEARCH_SECONDS_MAX: Final = 60.0
"""Longest deadline that a search request may set."""

SEARCH_CONCURRENT_MAX: Final = 8
"""Searches that compute at one time; the others wait their turn, so memory stays bounded. More than there are
cores, since each waits for the event loop now and then: beside 20 downloads 8 gave half as many answers again
as 4, and 16 no more."""

SEARCHES_WAITING_MAX: Final = 512
"""Searches that wait for their turn: what one institution's people and programs ask at once. Their bodies are
bounded together by ``API_BODIES_BYTES_MAX``."""

SEARCH_HELD_SECONDS_GUESS: Final = 0.1
"""How long a search is taken to compute before any did."""

SEARCH_HELD_SHARE: Final = 0.05
"""Weight of the last search in the mean of how long they take: the last twenty count most."""

RKMES_CACHED_BYTES_MAX: Final = 128 * MIB
"""Verified specifications kept in memory: 10,000 of 100 points in 30 columns."""

RKME_OBJECTS_BYTES: Final = 2 * KIB
"""What each of them takes beside its points, weights and responses: some twenty objects."""

FETCHES_CONCURRENT_MAX: Final = 16
"""Specification blobs fetched at one time for all searches together."""

BATCH_ROOTS_MAX: Final = 256
"""Blobs asked for in one request: 8 KiB of names; a search wants a few hundred of several owners."""

BATCH_BLOB_BYTES_MAX: Final = 64 * 1024
"""Largest blob that is sent among others: specifications have a few KiB; larger ones come by themselves."""

BATCH_BYTES_MAX: Final = 4 * MIB
"""Bytes of blobs in one such answer, which is held in memory."""

COPIES_SERVED_MAX: Final = 8
"""Answers with copies of specifications under way at one time: a favour, and up to 4 MiB of memory each."""

COPY_CARDS_MAX: Final = 4
"""Cards naming one specification that are looked at for a public one among them."""

COPIES_PEERS_MAX: Final = 3
"""Connected nodes asked for copies of what owners did not send: one after the other, for what is missing."""

OWNERS_SECONDS_SHARE: Final = 0.5
"""Part of the time for specifications that owners have to themselves before others are asked for copies."""

UNWRITTEN_BYTES_MAX: Final = 64 * MIB
"""Fetched specifications that wait for the disk; beyond it they are used and not kept."""

FETCH_SECONDS_MAX: Final = 60.0
"""Longest time for one specification blob; a search has its own, shorter deadline."""

PINNED_CLIENTS_MAX: Final = 64
"""Nodes to which connections for blobs are kept open; more than fetches at one time, so none in use is
closed."""

CACHE_BYTES_MAX: Final = 2 * 1024 * MIB
"""Fetched specifications kept on disk, least recently used out first: about 100,000 of 20 KiB."""

FETCH_FAILURE_SECONDS: Final = 15.0
"""How long an address that failed is left alone, so that one dead owner does not slow down every search."""

STORE_BATCH_MAX: Final = 256
"""Effects written in one transaction at most."""

STORE_BEHIND_MAX: Final = 4
"""Portions of pending cards that are being written while more come in: 2 MiB; with more the disk is too slow
for the peers, who then wait."""

HANDLING_SECONDS_MAX: Final = 0.005
"""Events of the state machine that are handled one after the other before requests, sockets and timers have
their turn: a search takes a dozen turns."""

COLLECT_AFTER_OBJECTS: Final = 20_000
"""Objects made and kept before the garbage collector looks at them: with Python's own 700 a tenth of the time
in which a catalogue comes in went there, and found nothing."""

SWITCH_SECONDS: Final = 0.001
"""After this a thread that computes lets another run. With Python's own 5 ms the event loop waits so long
after every use of TLS while a search or the store computes."""

CHECKPOINT_PAGES: Final = 4096
"""Pages of SQLite's write-ahead log, 16 MiB, before they are written to their places: cards that come in
change the same pages of an index again and again."""

STORE_RETRY_SECONDS: Final = 2.0
"""Pause before writing to a full disk is tried again."""

TIMERS_MAX: Final = 65536
"""Timers pending at one time; the state machine has one for each name and bounds the names."""

RANGES_PER_PEER_MAX: Final = 8
"""Pieces of blobs under way on one gossip connection: 256 KiB, so that news waits for little."""

RANGES_READ_MAX: Final = 64
"""Pieces being read for peers at one time; each is 32 KiB."""

RANGE_SECONDS_MAX: Final = 15.0
"""Longest wait for one piece of a blob over a gossip connection."""

REACH_WAIT_SECONDS: Final = 8.0
"""How long whoever needs a node that cannot be dialled waits for it to open a connection."""

REACH_POLL_SECONDS: Final = 0.05
"""How often that wait looks."""

RELAYS_MAX: Final = 8
"""Blobs relayed at one time; each holds a leaf."""

RELAYED_MAX: Final = 64
"""Nodes whose blobs' sizes are kept at hand for relaying."""

RELAY_BYTES_PER_SECOND: Final = 4 * MIB
RELAY_BYTES_SAVED_MAX: Final = 2 * 1024 * MIB
"""What is relayed for all nodes together: a favour must not take an institution's whole line."""

PUBLISH_SECONDS_MAX: Final = 30.0
"""Longest time from a change of the own catalogue to its durable head, the wait for peers after a start
included."""

DIAL_ANSWER_SECONDS_MAX: Final = 25.0
"""How long a caller of the API waits for a node to be dialled: TCP, TLS and handshake at their longest, and
a bit."""

DRAIN_SECONDS_MAX: Final = 5.0
"""From SIGTERM to the end of the process."""

STOP_HANDSHAKES_SECONDS: Final = 0.5
"""What a TLS handshake that is under way at the end of a listener gets."""

STOP_POLL_SECONDS: Final = 0.02
"""How often the end looks whether it is over."""

STOP_REQUESTS_SECONDS: Final = 1.25
"""What each of the three steps of the drain gets: requests of the API, gossip, blobs that are being served.
"""

NODE_KEY_DAYS: Final = 3650
"""How long a new node key counts in the first charter; a later charter prolongs or ends it."""

API_REQUESTS_PER_SECOND: Final = 1000.0
"""Requests a second that one token may make in the long run: more than two cores answer; stops a loop gone
wild in one program from taking everything."""

API_REQUESTS_BURST: Final = 2000.0
"""Requests that one token may make at once after a pause."""

API_REFUSALS_PER_SECOND: Final = 10.0
"""Requests a second without a good token, of all callers together: guessing a token of 256 bits stays
hopeless, and nobody is kept busy refusing."""

API_REFUSALS_BURST: Final = 100.0
"""Requests without a good token at once after a pause: a program with an outdated token hears so."""

API_REQUESTS_CONCURRENT_MAX: Final = 1024
"""Requests of the local API under way at one time, event streams included."""

API_BODIES_BYTES_MAX: Final = 256 * MIB
"""JSON bodies in memory at one time, of all requests under way together."""

API_BODY_SECONDS_MAX: Final = 30.0
"""Longest time for one JSON body: 8 MiB over a remote operator's line; a caller that dribbles is refused."""

UPLOAD_BYTES_PER_SECOND_MIN: Final = 16 * KIB
"""Slowest upload: a slower one is refused, so that dribbling holds no connection for days."""

UPLOAD_GRACE_SECONDS: Final = 60.0
"""Time that every upload has whatever its size."""

SENDING_STALLED_SECONDS_MAX: Final = 60.0
"""How long a caller may leave what was sent to it unread before the kernel ends the connection."""

EVENT_LISTENERS_MAX: Final = 64
"""Event streams at one time: consoles and scripts of one institution."""

EVENTS_QUEUED_MAX: Final = 1024
"""Events waiting for one listener; more than are kept, so that taking up fits."""

EVENTS_KEPT: Final = 512
"""Newest events kept for listeners that were cut off: minutes of a busy node."""

EVENTS_PAUSE_SECONDS: Final = 15.0
"""A comment is sent after so long without an event, so that proxies keep the connection."""

AUDIT_TEXT_CHARACTERS_MAX: Final = 512
"""Each text of an audit entry; slugs, ids and names are shorter."""

AUDIT_LINE_BYTES_MAX: Final = 16 * KIB
"""One line of the audit log: four texts, six bytes for a character that JSON escapes, and the hash."""

AUDIT_FETCH_SECONDS: Final = 3600.0
"""A blob fetched again by the same reader within this time is the same act: a fetch is many ranges."""

AUDIT_READERS_MAX: Final = 10_000
"""Pairs of reader and blob remembered for that; 2 MB."""

TOKENS_MAX: Final = 256
"""Named tokens of one node: people and programs of one institution."""

TOKENS_FILE_BYTES_MAX: Final = 256 * KIB
"""The file with the named tokens' hashes."""

REDEEM_SECONDS_MAX: Final = 30.0
"""Longest time for an invite to be redeemed: a roster is signed and stored meanwhile."""

UPKEEP_SECONDS: Final = 60.0
"""How often an admin's node looks whether rosters need to be renewed, joined or folded in."""

FOLD_SECONDS: Final = 3 * 24 * 3600
"""Age at which an admission is folded into a roster: well before its seven days end, and seldom enough that a
group's 512 rosters last for years."""

FOLD_ADMISSIONS_MAX: Final = 48
"""Admissions that are folded in whatever their age: below the 64 that one registrar may have."""

ROSTER_RENEWAL_SECONDS: Final = 60 * 24 * 3600
"""Life that a roster still has when it is renewed: a third of 180 days, so that a machine that is off for a
month does not end its group."""

UPKEEP_STAGGER_SECONDS: Final = 600.0
"""What each further admin's node waits longer than the one before it, so that one of them acts."""

INVITE_RETRY_SECONDS: Final = (2.0, 5.0, 15.0, 60.0)
"""Waits between attempts to redeem a configured invite whose issuing node does not answer; the last one
repeats."""

SEARCH_WORDS_MAX: Final = 16
"""Words of a search that are looked for; each may stand for many words of the cards."""

WORD_VARIANTS_MAX: Final = 32
"""Words of the cards that one word of a search stands for at most, nearest first."""

WORD_CHARACTERS_INDEXED_MAX: Final = 40
"""Characters of a word that are searched; what is longer is a hash or a sequence."""

WORDS_LIKENESS_MIN: Final = 0.4
"""Share of groups of three characters that a word with a typo has in common with the right one: one letter
wrong in five leaves 0.5, two letters exchanged in eight 0.47."""

WORDS_PORTION: Final = 1000
"""Cards whose words are taken in at a time: about 0.1 s, for which a write waits at most."""

DATABASE_CACHE_KIB: Final = 64 * 1024
"""Pages of the database in memory: the indexes of a million cards are written at random places."""

FACTS_PORTION: Final = 10_000
"""Cards whose facts are read or made at a time: 1 MiB of facts, 10 MiB of cards."""

ROWS_MIN: Final = 1024
"""Rows of the index's arrays at the start; they grow by half."""

FINDER_UNSORTED_MAX: Final = 4096
"""Rows that came one by one before they are sorted into the others."""

SKETCHES_PORTION: Final = 10_000
"""Cards that are read at a time to mend the file of sketches."""

SCANS_BESIDE_CARDS_MIN: Final = 50_000
"""Cards from which on the two scans of a search run in two threads: beside 3 ms each, that costs little."""

SETTLED_SINGLY_MAX: Final = 64
"""Cards of one change that are taken in one by one; more are taken in all at once."""

CARDS_PER_STATEMENT: Final = 200
"""Cards that one statement inserts: SQLite has allowed 999 parameters always. SQLite runs without the
interpreter's lock, and after each statement waits for it up to 5 ms beside a busy thread."""

WORDS_PAUSE_SECONDS: Final = 1.0
"""How long no card must come before words are taken in: a catalogue on its way comes first."""

WORDS_PAUSE_SECONDS_MAX: Final = 30.0
"""After this they are taken in though cards still come."""

SEARCH_SHARED: Final = 100
"""Cards of other islands that are compared on the columns they share, all such islands together."""

ISLANDS_LEARNED_MAX: Final = 16
"""Islands of unknown columns that one search asks the owners about, by one specification each."""

ISLANDS_SECONDS_SHARE: Final = 0.25
"""Part of a search's time that such questions may take."""

REPORTS_WAITING_MAX: Final = 256
"""Reports of lying sketches that wait to be judged; a flood of them loses the oldest."""

WORDS_TRIES_MAX: Final = 3
"""How often words are looked up in one search while cards change under it, as in the first minutes."""

SOURCE_READY_SECONDS_MAX: Final = 5.0
"""How long a program waits until this node got the token for a group's blob: one dial and two messages."""

SOURCE_POLL_SECONDS: Final = 0.02
"""How often it is looked whether the token came."""

BACKUP_MEMBERS_MAX: Final = 10_000_000
"""Files in a backup: the blobs of as many learnwares as a catalogue may have, and room."""

SUPERSEDED_SECONDS: Final = 90 * 86400
"""How long the blobs of a version that was replaced stay fetchable: a hit pins its card's hash."""
DOMAIN_SECONDS_MAX: Final = 10.0
"""Longest time that a domain may take to show whose it is."""

DOMAIN_FILE_BYTES_MAX: Final = 64 * KIB
"""Part of such a file that is read: a thousand ids."""
