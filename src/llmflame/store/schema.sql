-- A profile: one SQLite file. docs/profile-format.md says what each table holds and how to query it.
-- Times are nanoseconds, sizes bytes; NULL is "not known here".
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    llmflame_version TEXT NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    status TEXT NOT NULL CHECK (status IN ('recording', 'complete', 'partial', 'failed')),
    reason TEXT,
    mode TEXT NOT NULL
);
CREATE TABLE machine (section TEXT NOT NULL, name TEXT NOT NULL, value, unit TEXT, source TEXT NOT NULL);
CREATE TABLE subject (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE pass (
    name TEXT PRIMARY KEY, status TEXT NOT NULL, reason TEXT, pid INTEGER, start_ns INTEGER,
    wall_ns INTEGER, peak_rss_bytes INTEGER
) WITHOUT ROWID;
CREATE TABLE probe_report (
    pass_name TEXT NOT NULL, probe TEXT NOT NULL, name TEXT NOT NULL, value REAL, unit TEXT NOT NULL
);
CREATE TABLE span (
    pass_name TEXT NOT NULL, id INTEGER NOT NULL, parent INTEGER, name TEXT NOT NULL, repetition INTEGER,
    step INTEGER, treatment TEXT NOT NULL, start_ns INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
    tokens INTEGER, kv_tokens INTEGER, thread_cpu_ns INTEGER, process_cpu_ns INTEGER, run_queue_ns INTEGER,
    disk_wait_ns INTEGER, minor_faults INTEGER, major_faults INTEGER, read_bytes INTEGER, rss_bytes INTEGER,
    rss_file_bytes INTEGER, peak_rss_bytes INTEGER, device_bytes INTEGER, device_peak_bytes INTEGER,
    PRIMARY KEY (pass_name, id)
) WITHOUT ROWID;
CREATE TABLE frame (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, file TEXT, line INTEGER, module TEXT
);
CREATE TABLE node (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES node (id), frame INTEGER NOT NULL REFERENCES frame (id));
CREATE TABLE metric (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, unit TEXT NOT NULL,
    fold TEXT NOT NULL CHECK (fold IN ('sum', 'max', 'none')), label TEXT NOT NULL
);
CREATE TABLE window (
    pass_name TEXT NOT NULL, id INTEGER PRIMARY KEY, kind TEXT NOT NULL, span_name TEXT NOT NULL,
    step INTEGER, wall_ns INTEGER NOT NULL, samples INTEGER, events INTEGER, dropped INTEGER
);
CREATE TABLE cell (
    window INTEGER NOT NULL REFERENCES window (id), node INTEGER NOT NULL REFERENCES node (id),
    metric INTEGER NOT NULL REFERENCES metric (id), value NUMERIC NOT NULL,
    PRIMARY KEY (window, node, metric)
) WITHOUT ROWID;
CREATE TABLE slice (
    window INTEGER NOT NULL REFERENCES window (id), number INTEGER NOT NULL,
    node INTEGER NOT NULL REFERENCES node (id), start_ns INTEGER NOT NULL, PRIMARY KEY (window, number)
) WITHOUT ROWID;
CREATE TABLE thread (
    window INTEGER NOT NULL REFERENCES window (id), number INTEGER NOT NULL, name TEXT, native_id INTEGER,
    PRIMARY KEY (window, number)
) WITHOUT ROWID;
CREATE TABLE thread_slice (
    window INTEGER NOT NULL REFERENCES window (id), thread INTEGER NOT NULL, number INTEGER NOT NULL,
    node INTEGER NOT NULL REFERENCES node (id), start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
    PRIMARY KEY (window, thread, number)
) WITHOUT ROWID;
CREATE TABLE device_work (
    window INTEGER NOT NULL REFERENCES window (id), number INTEGER NOT NULL,
    node INTEGER NOT NULL REFERENCES node (id), stream INTEGER NOT NULL, launched_ns INTEGER,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, bytes INTEGER, PRIMARY KEY (window, number)
) WITHOUT ROWID;
CREATE TABLE anchor (
    pass_name TEXT NOT NULL, repetition INTEGER NOT NULL, step INTEGER NOT NULL, module TEXT NOT NULL,
    calls INTEGER NOT NULL, child_calls INTEGER NOT NULL, wall_ns INTEGER NOT NULL, cpu_ns INTEGER NOT NULL,
    PRIMARY KEY (pass_name, repetition, step, module)
) WITHOUT ROWID;
CREATE TABLE moment (
    pass_name TEXT NOT NULL, id INTEGER NOT NULL, phase TEXT NOT NULL, step INTEGER, "when" TEXT NOT NULL,
    time_ns INTEGER NOT NULL, window INTEGER REFERENCES window (id), PRIMARY KEY (pass_name, id)
) WITHOUT ROWID;
CREATE TABLE holding (
    pass_name TEXT NOT NULL, moment INTEGER NOT NULL, space TEXT NOT NULL, category TEXT NOT NULL,
    owner TEXT NOT NULL, bytes INTEGER NOT NULL, blocks INTEGER NOT NULL,
    PRIMARY KEY (pass_name, moment, space, category, owner)
) WITHOUT ROWID;
CREATE TABLE reading (
    pass_name TEXT NOT NULL, moment INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (pass_name, moment, name)
) WITHOUT ROWID;
CREATE TABLE transfer (
    pass_name TEXT NOT NULL, span_name TEXT NOT NULL, part TEXT NOT NULL, kind TEXT NOT NULL,
    source TEXT NOT NULL, target TEXT NOT NULL, pinned INTEGER, calls INTEGER NOT NULL,
    source_bytes INTEGER NOT NULL, target_bytes INTEGER NOT NULL, wall_ns INTEGER NOT NULL
);
CREATE TABLE prediction (
    phase TEXT NOT NULL, space TEXT NOT NULL, category TEXT NOT NULL, bytes INTEGER NOT NULL,
    formula TEXT NOT NULL, PRIMARY KEY (phase, space, category)
) WITHOUT ROWID;
CREATE TABLE stall_kernel (
    pass_name TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, function TEXT NOT NULL,
    binary TEXT NOT NULL, PRIMARY KEY (pass_name, id)
) WITHOUT ROWID;
CREATE TABLE stall (
    pass_name TEXT NOT NULL, window INTEGER NOT NULL REFERENCES window (id), kernel INTEGER NOT NULL,
    launch INTEGER NOT NULL, pc INTEGER, reason TEXT NOT NULL, samples INTEGER NOT NULL,
    not_issued INTEGER NOT NULL
);
CREATE TABLE instruction (
    pass_name TEXT NOT NULL, kernel INTEGER NOT NULL, pc INTEGER NOT NULL, text TEXT NOT NULL, file TEXT,
    line INTEGER, PRIMARY KEY (pass_name, kernel, pc)
) WITHOUT ROWID;
CREATE TABLE gauge (pass_name TEXT NOT NULL, name TEXT NOT NULL, time_ns INTEGER NOT NULL, value REAL NOT NULL);

-- An experiment: llmflame lab.
CREATE TABLE lab_row (
    row TEXT NOT NULL, batch INTEGER NOT NULL, number INTEGER NOT NULL, engine TEXT NOT NULL,
    variants TEXT NOT NULL, equality TEXT NOT NULL, phase TEXT NOT NULL, base TEXT, rung INTEGER,
    kept INTEGER NOT NULL, note TEXT, PRIMARY KEY (row, batch)
) WITHOUT ROWID;
CREATE TABLE trial (
    row TEXT NOT NULL, batch INTEGER NOT NULL, round INTEGER NOT NULL, purpose TEXT NOT NULL,
    number INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT, wall_ns INTEGER NOT NULL, load_ns INTEGER,
    first_request_ns INTEGER, recompilations INTEGER, weight_bytes INTEGER, step_bytes REAL, step_flop REAL,
    peak_host_bytes INTEGER, peak_device_bytes INTEGER, energy_joule REAL, energy_source TEXT,
    clock_mhz REAL, temperature_celsius REAL, throttled TEXT, same_tokens INTEGER,
    PRIMARY KEY (row, batch, round)
) WITHOUT ROWID;
CREATE TABLE lab_request (
    row TEXT NOT NULL, batch INTEGER NOT NULL, round INTEGER NOT NULL, number INTEGER NOT NULL,
    ttft_ns INTEGER NOT NULL, decode_ns INTEGER NOT NULL, steps INTEGER NOT NULL, wall_ns INTEGER NOT NULL,
    PRIMARY KEY (row, batch, round, number)
) WITHOUT ROWID;
CREATE TABLE agreement (
    row TEXT NOT NULL, batch INTEGER NOT NULL, name TEXT NOT NULL, value REAL, PRIMARY KEY (row, batch, name)
) WITHOUT ROWID;
CREATE TABLE row_profile (
    row TEXT NOT NULL, batch INTEGER NOT NULL, size INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (row, batch)
);

-- For people with a sqlite3 prompt.
CREATE VIEW phase AS
    SELECT name, repetition, wall_ns / 1e6 AS wall_ms, thread_cpu_ns / 1e6 AS on_cpu_ms, peak_rss_bytes / 1e6 AS peak_rss_mb
    FROM span WHERE pass_name = 'clean' AND name != 'step' ORDER BY start_ns;
CREATE VIEW named_cell AS
    SELECT cell.window, window.span_name, window.step, frame.kind, frame.name AS frame, frame.module,
           metric.name AS metric, metric.unit, cell.value, window.kind AS origin, cell.node
    FROM cell JOIN window ON window.id = cell.window JOIN node ON node.id = cell.node
    JOIN frame ON frame.id = node.frame JOIN metric ON metric.id = cell.metric;
