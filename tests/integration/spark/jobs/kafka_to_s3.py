"""Writes numbers to a Kafka topic and streams them from there to Parquet on S3, twice.

kafka_to_s3.py BROKER TOPIC FOLDER
"""

import sys

from pyspark.sql import SparkSession

broker, topic, folder = sys.argv[1:]
spark = SparkSession.builder.getOrCreate()
kafka = {"kafka.bootstrap.servers": broker, "startingOffsets": "earliest", "subscribe": topic}
numbers = spark.range(100).selectExpr("string(id) AS key", "string(id * id) AS value")

for _ in range(2):
    numbers.write.format("kafka").option("kafka.bootstrap.servers", broker).option("topic", topic).save()
    read = spark.readStream.format("kafka").options(**kafka).load().selectExpr("string(key)", "string(value)")
    query = read.writeStream.trigger(availableNow=True).option("checkpointLocation", f"{folder}/checkpoint")
    query.start(f"{folder}/rows").awaitTermination()
    print("rows:", spark.read.parquet(f"{folder}/rows").count())

print("square of 99:", {row.value for row in spark.read.parquet(f"{folder}/rows").where("key = '99'").collect()})
spark.stop()
