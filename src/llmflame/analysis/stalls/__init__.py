"""What a sampler of program counters saw: why the warps of each kernel did not issue an instruction."""
