"""spark-submit as a process of this machine, which never outlives the task that wants it."""
