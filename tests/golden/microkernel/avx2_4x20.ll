; ModuleID = "golden"
target triple = "x86_64-unknown-linux-gnu"
target datalayout = ""

define internal void @"gemm_f32_4x20_t9_k16_set_a_table_32_1_b_320_20_c_20"(ptr %"c", ptr %"a", ptr %"b", ptr %"a_batch") noinline nounwind
{
entry:
  br label %"loop"
loop:
  %".7" = phi  i64 [0, %"entry"], [%".123", %"done"]
  %".8" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".99", %"done"]
  %".9" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".100", %"done"]
  %".10" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".101", %"done"]
  %".11" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".105", %"done"]
  %".12" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".106", %"done"]
  %".13" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".107", %"done"]
  %".14" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".111", %"done"]
  %".15" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".112", %"done"]
  %".16" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".113", %"done"]
  %".17" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".117", %"done"]
  %".18" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".118", %"done"]
  %".19" = phi  <8 x float> [splat (float              0x0), %"entry"], [%".119", %"done"]
  %".20" = getelementptr i32, ptr %"a_batch", i64 %".7"
  %".21" = load i32, ptr %".20", align 4
  %".22" = sext i32 %".21" to i64
  %".23" = getelementptr float, ptr %"a", i64 %".22"
  %".24" = mul i64 0, 32
  %".25" = getelementptr float, ptr %".23", i64 %".24"
  %".26" = mul i64 1, 32
  %".27" = getelementptr float, ptr %".23", i64 %".26"
  %".28" = mul i64 2, 32
  %".29" = getelementptr float, ptr %".23", i64 %".28"
  %".30" = mul i64 3, 32
  %".31" = getelementptr float, ptr %".23", i64 %".30"
  %".32" = mul i64 %".7", 320
  %".33" = getelementptr float, ptr %"b", i64 %".32"
  br label %"loop.1"
loop.1:
  %".35" = phi  i64 [0, %"loop"], [%".120", %"loop.1"]
  %".36" = phi  <8 x float> [%".8", %"loop"], [%".99", %"loop.1"]
  %".37" = phi  <8 x float> [%".9", %"loop"], [%".100", %"loop.1"]
  %".38" = phi  <8 x float> [%".10", %"loop"], [%".101", %"loop.1"]
  %".39" = phi  <8 x float> [%".11", %"loop"], [%".105", %"loop.1"]
  %".40" = phi  <8 x float> [%".12", %"loop"], [%".106", %"loop.1"]
  %".41" = phi  <8 x float> [%".13", %"loop"], [%".107", %"loop.1"]
  %".42" = phi  <8 x float> [%".14", %"loop"], [%".111", %"loop.1"]
  %".43" = phi  <8 x float> [%".15", %"loop"], [%".112", %"loop.1"]
  %".44" = phi  <8 x float> [%".16", %"loop"], [%".113", %"loop.1"]
  %".45" = phi  <8 x float> [%".17", %"loop"], [%".117", %"loop.1"]
  %".46" = phi  <8 x float> [%".18", %"loop"], [%".118", %"loop.1"]
  %".47" = phi  <8 x float> [%".19", %"loop"], [%".119", %"loop.1"]
  %".48" = mul i64 %".35", 1
  %".49" = getelementptr float, ptr %".25", i64 %".48"
  %".50" = getelementptr float, ptr %".27", i64 %".48"
  %".51" = getelementptr float, ptr %".29", i64 %".48"
  %".52" = getelementptr float, ptr %".31", i64 %".48"
  %".53" = mul i64 %".35", 20
  %".54" = getelementptr float, ptr %".33", i64 %".53"
  %".55" = load <8 x float>, ptr %".54", align 4
  %".56" = getelementptr float, ptr %".54", i64 8
  %".57" = load <8 x float>, ptr %".56", align 4
  %".58" = getelementptr float, ptr %".54", i64 16
  %".59" = load <4 x float>, ptr %".58", align 4
  %".60" = shufflevector <4 x float> %".59", <4 x float> <float 0.0, float 0.0, float 0.0, float 0.0>, <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 4, i32 4, i32 4>
  %".61" = load float, ptr %".49", align 4
  %".62" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".61", i32 0
  %".63" = shufflevector <8 x float> %".62", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".64" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".63", <8 x float> %".55", <8 x float> %".36")
  %".65" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".63", <8 x float> %".57", <8 x float> %".37")
  %".66" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".63", <8 x float> %".60", <8 x float> %".38")
  %".67" = load float, ptr %".50", align 4
  %".68" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".67", i32 0
  %".69" = shufflevector <8 x float> %".68", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".70" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".69", <8 x float> %".55", <8 x float> %".39")
  %".71" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".69", <8 x float> %".57", <8 x float> %".40")
  %".72" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".69", <8 x float> %".60", <8 x float> %".41")
  %".73" = load float, ptr %".51", align 4
  %".74" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".73", i32 0
  %".75" = shufflevector <8 x float> %".74", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".76" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".75", <8 x float> %".55", <8 x float> %".42")
  %".77" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".75", <8 x float> %".57", <8 x float> %".43")
  %".78" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".75", <8 x float> %".60", <8 x float> %".44")
  %".79" = load float, ptr %".52", align 4
  %".80" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".79", i32 0
  %".81" = shufflevector <8 x float> %".80", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".82" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".81", <8 x float> %".55", <8 x float> %".45")
  %".83" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".81", <8 x float> %".57", <8 x float> %".46")
  %".84" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".81", <8 x float> %".60", <8 x float> %".47")
  %".85" = getelementptr float, ptr %".49", i64 1
  %".86" = getelementptr float, ptr %".50", i64 1
  %".87" = getelementptr float, ptr %".51", i64 1
  %".88" = getelementptr float, ptr %".52", i64 1
  %".89" = getelementptr float, ptr %".54", i64 20
  %".90" = load <8 x float>, ptr %".89", align 4
  %".91" = getelementptr float, ptr %".89", i64 8
  %".92" = load <8 x float>, ptr %".91", align 4
  %".93" = getelementptr float, ptr %".89", i64 16
  %".94" = load <4 x float>, ptr %".93", align 4
  %".95" = shufflevector <4 x float> %".94", <4 x float> <float 0.0, float 0.0, float 0.0, float 0.0>, <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 4, i32 4, i32 4>
  %".96" = load float, ptr %".85", align 4
  %".97" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".96", i32 0
  %".98" = shufflevector <8 x float> %".97", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".99" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".98", <8 x float> %".90", <8 x float> %".64")
  %".100" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".98", <8 x float> %".92", <8 x float> %".65")
  %".101" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".98", <8 x float> %".95", <8 x float> %".66")
  %".102" = load float, ptr %".86", align 4
  %".103" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".102", i32 0
  %".104" = shufflevector <8 x float> %".103", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".105" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".104", <8 x float> %".90", <8 x float> %".70")
  %".106" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".104", <8 x float> %".92", <8 x float> %".71")
  %".107" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".104", <8 x float> %".95", <8 x float> %".72")
  %".108" = load float, ptr %".87", align 4
  %".109" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".108", i32 0
  %".110" = shufflevector <8 x float> %".109", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".111" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".110", <8 x float> %".90", <8 x float> %".76")
  %".112" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".110", <8 x float> %".92", <8 x float> %".77")
  %".113" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".110", <8 x float> %".95", <8 x float> %".78")
  %".114" = load float, ptr %".88", align 4
  %".115" = insertelement <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, float %".114", i32 0
  %".116" = shufflevector <8 x float> %".115", <8 x float> <float undef, float undef, float undef, float undef, float undef, float undef, float undef, float undef>, <8 x i32> <i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0, i32 0>
  %".117" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".116", <8 x float> %".90", <8 x float> %".82")
  %".118" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".116", <8 x float> %".92", <8 x float> %".83")
  %".119" = call <8 x float> @"llvm.fma.v8f32"(<8 x float> %".116", <8 x float> %".95", <8 x float> %".84")
  %".120" = add i64 %".35", 2
  %".121" = icmp slt i64 %".120", 16
  br i1 %".121", label %"loop.1", label %"done"
done:
  %".123" = add i64 %".7", 1
  %".124" = icmp slt i64 %".123", 9
  br i1 %".124", label %"loop", label %"done.1"
done.1:
  %".126" = mul i64 0, 20
  %".127" = getelementptr float, ptr %"c", i64 %".126"
  store <8 x float> %".99", ptr %".127", align 4
  %".129" = getelementptr float, ptr %".127", i64 8
  store <8 x float> %".100", ptr %".129", align 4
  %".131" = getelementptr float, ptr %".127", i64 16
  call void @"llvm.masked.store.v8f32.p0"(<8 x float> %".101", ptr %".131", i32 4, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false>)
  %".133" = mul i64 1, 20
  %".134" = getelementptr float, ptr %"c", i64 %".133"
  store <8 x float> %".105", ptr %".134", align 4
  %".136" = getelementptr float, ptr %".134", i64 8
  store <8 x float> %".106", ptr %".136", align 4
  %".138" = getelementptr float, ptr %".134", i64 16
  call void @"llvm.masked.store.v8f32.p0"(<8 x float> %".107", ptr %".138", i32 4, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false>)
  %".140" = mul i64 2, 20
  %".141" = getelementptr float, ptr %"c", i64 %".140"
  store <8 x float> %".111", ptr %".141", align 4
  %".143" = getelementptr float, ptr %".141", i64 8
  store <8 x float> %".112", ptr %".143", align 4
  %".145" = getelementptr float, ptr %".141", i64 16
  call void @"llvm.masked.store.v8f32.p0"(<8 x float> %".113", ptr %".145", i32 4, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false>)
  %".147" = mul i64 3, 20
  %".148" = getelementptr float, ptr %"c", i64 %".147"
  store <8 x float> %".117", ptr %".148", align 4
  %".150" = getelementptr float, ptr %".148", i64 8
  store <8 x float> %".118", ptr %".150", align 4
  %".152" = getelementptr float, ptr %".148", i64 16
  call void @"llvm.masked.store.v8f32.p0"(<8 x float> %".119", ptr %".152", i32 4, <8 x i1> <i1 true, i1 true, i1 true, i1 true, i1 false, i1 false, i1 false, i1 false>)
  ret void
}

declare <8 x float> @"llvm.fma.v8f32"(<8 x float> %".1", <8 x float> %".2", <8 x float> %".3")

declare void @"llvm.masked.store.v8f32.p0"(<8 x float> %".1", ptr %".2", i32 %".3", <8 x i1> %".4")

