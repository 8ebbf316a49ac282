"""Nsight Compute's CSV of some training steps as a table: a line for each kernel of one step, the longest first.

    kernels.py ncu.csv

A step is what lies between two calls of the loss, the last two: from one forward pass to the next.
"""
import csv, sys

ONCE_A_STEP = 'cross_entropy_kernel'
TIME, DRAM, L2 = 'gpu__time_duration.sum', 'dram__bytes.sum', 'lts__t_bytes.sum'
IPC, WARPS = 'sm__inst_executed.avg.per_cycle_active', 'sm__warps_active.avg.pct_of_peak_sustained_active'
REGISTERS = 'launch__registers_per_thread'
# In microseconds and megabytes.
UNITS = {'ns': 1e-3, 'nsecond': 1e-3, 'us': 1, 'usecond': 1, 'ms': 1e3, 'msecond': 1e3,
         'byte': 1e-6, 'Kbyte': 1e-3, 'Mbyte': 1, 'Gbyte': 1e3}


def read_launches(path):
    """[(kernel, {metric: value})], in the order of the launches."""
    launches = {}
    with open(path, errors='replace') as file:
        for row in csv.DictReader(line for line in file if line.startswith('"')):
            name = row['Kernel Name'].split('(')[0].removeprefix('void ').replace('bobbin::', '')[:45]
            _, metrics = launches.setdefault(row['ID'], (name, dict.fromkeys((TIME, DRAM, L2, IPC, WARPS, REGISTERS), 0.)))
            try:
                value = float(row['Metric Value'].replace(',', ''))
            except ValueError:  # "n/a"
                continue
            metrics[row['Metric Name']] = value * UNITS.get(row['Metric Unit'], 1)
    return list(launches.values())


def last_step(launches):
    """The launches of the last whole step; of all, where there is none."""
    losses = [i for i, (name, _) in enumerate(launches) if name.endswith(ONCE_A_STEP)]
    return launches[losses[-2]:losses[-1]] if len(losses) > 1 else launches


def table(launches):
    kernels = {}
    for name, metrics in launches:
        kernels.setdefault(name, []).append(metrics)
    total = {name: {m: sum(call[m] for call in calls) for m in calls[0]} for name, calls in kernels.items()}
    all_us = sum(t[TIME] for t in total.values())
    yield f'{"kernel":46}{"calls":>6}{"us":>9}{"share":>7}{"DRAM MB":>9}{"L2 MB":>8}{"TB/s":>6}{"IPC":>6}{"warps%":>7}{"regs":>5}'
    for name, t in sorted(total.items(), key=lambda item: -item[1][TIME]):
        us, calls = t[TIME], len(kernels[name])
        yield (f'{name:46}{calls:6}{us:9.1f}{100 * us / (all_us or 1):6.1f}%{t[DRAM]:9.1f}{t[L2]:8.0f}{t[DRAM] / (us or 1):6.2f}'
               f'{t[IPC] / calls:6.2f}{t[WARPS] / calls:7.0f}{t[REGISTERS] / calls:5.0f}')
    yield f'{"all":46}{len(launches):6}{all_us:9.1f}'


if len(sys.argv) != 2:
    sys.exit(__doc__)
launches = read_launches(sys.argv[1])
if not launches:
    sys.exit(f'kernels.py: {sys.argv[1]} has no kernel: Nsight Compute says why in its log')
print(*table(last_step(launches)), sep='\n')
