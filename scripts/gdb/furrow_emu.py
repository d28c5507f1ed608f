"""For gdb: looks at the other CUDA threads of a block that the emulator runs.

  (gdb) source scripts/gdb/furrow_emu.py
  (gdb) cuda-thread X[,Y[,Z]] [COMMAND]     runs COMMAND (default: bt) in that thread's innermost kernel frame, then returns

Only one thread of a block runs; the others' registers lie where furrow_emu_switch (kernels/emu/fiber.cc) has pushed them.
The command lends them to gdb for one COMMAND, which may print but not run anything. x86-64.
"""
import gdb

# In the order that furrow_emu_switch pops them, 8 bytes each; then the address that it returns to.
SAVED = ["r15", "r14", "r13", "r12", "rbx", "rbp"]


def find(block, wanted):
    """The Thread of the running block with that index, or an error that names the block's size."""
    extent = block["launch"]["block"]
    size = [int(extent[axis]) for axis in "xyz"]
    if any(not 0 <= w < s for w, s in zip(wanted, size)):
        raise gdb.GdbError(f"the block has {size[0]} x {size[1]} x {size[2]} threads")
    return block["threads"][wanted[0] + size[0] * (wanted[1] + size[1] * wanted[2])]


def select_kernel_frame():
    """The innermost frame in a .cu file: below it are the emulator's own."""
    frame = gdb.newest_frame()
    while frame is not None:
        table = frame.find_sal().symtab
        if table is not None and table.filename.endswith((".cu", ".cc")) and "/emu/" not in "/" + table.filename:
            frame.select()
            return
        frame = frame.older()


class CudaThread(gdb.Command):
    """cuda-thread X[,Y[,Z]] [COMMAND]: runs COMMAND (default: bt) in another CUDA thread of the running block."""

    def __init__(self):
        super().__init__("cuda-thread", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        where, _, command = argument.strip().partition(" ")
        try:
            wanted = ([int(n) for n in where.split(",")] + [0, 0])[:3]
        except ValueError:
            raise gdb.GdbError("usage: cuda-thread X[,Y[,Z]] [COMMAND]") from None
        if "x86-64" not in gdb.selected_frame().architecture().name():
            raise gdb.GdbError("cuda-thread knows the stack layout of x86-64 only")
        block = gdb.parse_and_eval("furrow::emu::running_block")
        if int(block) == 0:
            raise gdb.GdbError("no kernel runs on this operating-system thread")
        thread = find(block.dereference(), wanted)
        state = str(thread["state"]).rpartition("::")[2]
        if state == "running":
            gdb.execute(command or "bt")
            return
        if state in ("fresh", "exited") or int(thread["fiber"]) == 0:
            print(f"that thread has {'not started' if state == 'fresh' else 'left the kernel'}")
            return
        word = gdb.lookup_type("unsigned long").pointer()
        stack = int(thread["fiber"]["resume"])
        saved = [int((gdb.Value(stack).cast(word) + i).dereference()) for i in range(len(SAVED) + 1)]
        lent = dict(zip([*SAVED, "rip"], saved), rsp=stack + 8 * len(saved))

        selected, own = gdb.selected_frame().level(), {}
        gdb.newest_frame().select()
        for name in lent:
            own[name] = int(gdb.parse_and_eval(f"${name}").cast(gdb.lookup_type("unsigned long")))
        try:
            for name, value in lent.items():
                gdb.execute(f"set ${name} = {value}", to_string=True)
            select_kernel_frame()
            gdb.execute(command or "bt")
        finally:
            gdb.newest_frame().select()
            for name, value in own.items():
                gdb.execute(f"set ${name} = {value}", to_string=True)
            gdb.execute(f"frame {selected}", to_string=True)


CudaThread()
